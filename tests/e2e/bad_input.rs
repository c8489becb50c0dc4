//! Bad input: one clear word naming the source, and PGM goes on.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::{From, Server, Studio, free_port, run_ffmpeg, spawn_ffmpeg};

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_source_says_what_is_wrong_and_pgm_goes_on() {
    let server = Server::start();
    let media = server.folder.path("media");
    let clip = media.join("clip.mp4");
    run_ffmpeg(&format!(
        "-f lavfi -i testsrc2=size=320x180:rate=30 -t 4 -pix_fmt yuv420p {}",
        clip.display()
    ));
    let whole = std::fs::read(&clip).unwrap();
    std::fs::write(media.join("cut.mp4"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(media.join("text.mp4"), "this is not a film\n".repeat(100)).unwrap();
    for size in ["1:1", "8192:8192"] {
        let image = media.join(format!("{}.png", size.replace(':', "x")));
        run_ffmpeg(&format!(
            "-f lavfi -i color=c=blue:s=16x16 -vf scale={size} -frames:v 1 {}",
            image.display()
        ));
    }
    let keyless = format!("rtmp://{}/live/keyless", server.rtmp);
    let _pusher = spawn_ffmpeg(&format!(
        "-re -f lavfi -i testsrc2=size=320x180:rate=30 -c:v libx264 -preset ultrafast -tune zerolatency -g 9999 \
         -bsf:v noise=drop=key -pix_fmt yuv420p -f flv {keyless}"
    ));
    let nobody = format!("rtmp://127.0.0.1:{}/live/x", free_port());
    let sources = [
        From::Vod("pattern:640x360@30"),
        From::Live(nobody),
        From::Vod("file:cut.mp4"),
        From::Vod("file:text.mp4"),
        From::Image("file:1x1.png"),
        From::Image("file:8192x8192.png"),
        From::Live(keyless),
    ];
    let mut studio = Studio::start(&server, &sources).await;
    let good = studio.full("RV01").await;
    studio.take(&good).await;
    for (location, why) in [
        ("RV02", "Connection refused"),
        ("RV03", "cut off or damaged"),
        ("RV04", "no audio or video in a known format"),
        ("RV06", "8192x8192 px"),
        ("RV07", "no key frame"),
    ] {
        let input =
            studio.input_until(location, "refused with a word", |i| !i.message.is_empty()).await;
        assert!(input.message.contains(why), "{location}: {}", input.message);
        assert_eq!(input.frames, 0, "{location}");
    }
    // One pixel is a picture.
    studio.input_until("RV05", "live", |i| i.state().as_str_name().ends_with("LIVE")).await;
    // A take of what has no picture is refused, naming it; what is on air stays.
    let bad = studio.full("RV04").await;
    studio.prepare(&bad).await;
    let refused = studio.try_take(200).await.unwrap_err();
    assert!(refused.contains("RV04"), "{refused}");
    let state = studio.state().await;
    assert_eq!(state.tally.unwrap().pgm, ["RV01"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_at_the_rtmp_port_hurts_nobody() {
    let server = Server::start();
    let mut studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let good = studio.full("RV01").await;
    studio.take(&good).await;
    let before = studio.state().await.tick;
    for seed in 0_u8..16 {
        let mut peer = TcpStream::connect(server.rtmp).unwrap();
        let garbage: Vec<u8> = (0..8192_u32)
            .map(|i| (i as u8).wrapping_mul(seed).wrapping_add(i as u8 >> 3))
            .collect();
        // The server may close at any moment.
        let _ = peer.write_all(&garbage);
        let _ = peer.shutdown(std::net::Shutdown::Write);
        let _ = peer.read_to_end(&mut Vec::new());
    }
    let mut state = studio.state().await;
    while state.tick <= before + 30 {
        state = studio.state().await;
    }
    assert_eq!(state.outputs[0].frames_dropped, 0);
}

//! Which decoder reads sources, in the built binary: without a driver as ever, with one that lacks NVDEC refused by name.

use crate::faults::metric;
use crate::nvenc::{beside_adapter, doctor, simulator};
use crate::support::{Folder, From, Server, Studio, run_ffmpeg};

/// A file on air, and a server that decodes by these rules.
async fn show(variables: &[(&str, &str)]) -> (Server, Studio) {
    let server = Server::start_in(variables);
    let clip = server.folder.path("media").join("clip.mp4");
    let source = "-f lavfi -i testsrc2=s=320x180:r=30:d=20 -c:v libx264 -preset ultrafast";
    run_ffmpeg(&format!("-loglevel error -y {source} {}", clip.display()));
    let mut studio = Studio::start(&server, &[From::Vod("file:clip.mp4")]).await;
    let full = studio.full("RV01").await;
    studio.take(&full).await;
    (server, studio)
}

#[tokio::test(flavor = "multi_thread")]
async fn software_decodes_where_nvdec_is_not_and_all_are_told_why() {
    let (with, without) = (simulator(), Folder::new());
    let own = beside_adapter("");
    for (decoder, libraries, faults, state) in [
        ("auto", &without, "", Some("software_adapter")),
        ("software", &with, &own[..], None),
        ("nvdec", &without, "", Some("no_driver")),
        ("nvdec", &with, "", Some("other_device")),
        // All is there but libnvcuvid.so.1.
        ("nvdec", &with, &own, Some("broken_driver")),
    ] {
        let (server, mut studio) = show(&[
            ("ONAIR_DECODER", decoder),
            ("ONAIR_NVIDIA_LIBRARIES", libraries.path("").to_str().unwrap()),
            ("ONAIR_NVIDIA_SIM", faults),
        ])
        .await;
        let input = studio
            .input_until("RV01", "decoded", |input| input.frames > 0 && !input.decoder.is_empty())
            .await;
        assert_eq!((&input.decoder[..], &input.nvdec_refused[..]), ("software", ""), "{decoder}");
        assert_eq!(metric(&server, "onair_input_decoder{"), 1.0, "{decoder}");
        for name in onair::media::nvdec::NvdecReport::STATES {
            let told = metric(&server, &format!("onair_nvdec_state{{state=\"{name}\"}}"));
            assert_eq!(told == 1.0, state == Some(name), "{decoder} {faults}: {name}");
        }
        assert_eq!(metric(&server, "onair_nvdec_pictures_total"), 0.0);
    }
}

#[test]
fn the_doctor_tells_what_decodes() {
    let (with, without) = (simulator(), Folder::new());
    let own = beside_adapter("");
    for (libraries, faults, told) in [
        (&without, "", "nvdec     there is no NVIDIA driver"),
        (&with, "", "nvdec     CUDA does not see the adapter that composes"),
        (&with, &own[..], "nvdec     NVIDIA's driver: "),
    ] {
        let text = doctor(libraries, faults);
        assert!(text.contains(told) && text.contains("decoder   software"), "{text}");
    }
}

//! Which of flags, file and defaults wins, and what errors say.

use super::*;

fn resolve(file: &str, args: &[&str]) -> Result<Config, String> {
    let path = std::env::temp_dir().join(format!("onair-config-{}.toml", uuid::Uuid::new_v4()));
    std::fs::write(&path, file).unwrap();
    let flags = ["onair", "serve", "--config", path.to_str().unwrap()]
        .into_iter()
        .chain(args.iter().copied());
    let Command::Serve(settings) = Cli::try_parse_from(flags).unwrap().command else {
        unreachable!()
    };
    let result = settings.resolve();
    std::fs::remove_file(&path).unwrap();
    result
}

#[test]
fn flags_beat_the_file_and_the_file_beats_defaults() {
    let config =
        resolve("http = '127.0.0.1:1'\ngrpc = '127.0.0.1:2'\n", &["--http", "127.0.0.1:3"])
            .unwrap();
    assert_eq!((config.http.port(), config.grpc.port(), config.rtmp.port()), (3, 2, RTMP_PORT));
    assert_eq!(config.media_dir, PathBuf::from("data/media"));
    let config = resolve("video-codec = 'hevc'\nencoder = 'x264'\n", &["--encoder", "software"]);
    let config = config.unwrap();
    assert_eq!((config.video_codec, config.encoder), (VideoCodec::Hevc, EncoderChoice::Software));
    for args in [&["--encoder", "x264"][..], &[]] {
        assert_eq!(resolve("encoder = 'x264'", args).unwrap().encoder, EncoderChoice::Software);
    }
}

#[test]
fn errors_name_the_setting() {
    for (file, args, names) in [
        ("htp = '127.0.0.1:1'", &[][..], "htp"),
        ("", &["--gop-seconds", "99"], "gop-seconds"),
        ("access-key-id = 'a'", &[], "access-key-secret"),
        ("tls-cert = 'a'", &[], "tls-key"),
        ("", &["--tls-client-ca", "a"], "tls-cert"),
        ("second-publisher = 'both'", &[], "second-publisher"),
        ("hls-segments = 'mkv'", &[], "hls-segments"),
        ("encoder = 'quicksync'", &[], "encoder"),
        ("decoder = 'cuvid'", &[], "decoder"),
        ("nvenc-preset = 'p8'", &[], "nvenc-preset"),
        ("video-codec = 'vp9'", &[], "video-codec"),
        ("[ladder.lld]\nprofile = 'main'", &["--video-codec", "hevc"], "ladder profile"),
        ("", &["--lookahead-frames", "32"], "lookahead-frames"),
        ("[ladder.lld]\nlookahead-frames = 40", &[], "ladder lookahead-frames"),
        ("", &["--b-frames", "5"], "b-frames"),
        ("b-frames = 1", &["--video-codec=av1"], "AV1 has none"),
        ("video-codec = 'av1'\n[ladder.lld]\nb-frames = 1", &[], "ladder b-frames"),
        ("hls-segments = 'ts'", &["--video-codec=av1"], "MPEG-TS does not carry AV1"),
        ("[ladder.lud]\nb-frames = 9", &[], "ladder b-frames"),
        ("", &["--nvenc-sessions", "1001"], "nvenc-sessions"),
        ("[storage]\nbuckit = 'b'", &[], "buckit"),
        ("[storage]\nbucket = 'shows'", &[], "storage-endpoint"),
        ("", &["--storage-endpoint", "http://127.0.0.1"], "storage-bucket"),
        ("[ladder.lxd]\nfps = 15", &[], "lxd"),
        ("[ladder.lld]\nfps = 0", &[], "ladder fps"),
        ("[ladder.lld]\nvideo-bps = 1", &[], "ladder video-bps"),
    ] {
        let error = resolve(file, args).unwrap_err();
        assert!(error.contains(names), "{error}");
    }
}

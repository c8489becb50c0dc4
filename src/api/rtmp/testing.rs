//! RTMP and HTTP servers on loopback for tests, with a gate that knows one key.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::api::access::{Access, Gate};
use crate::config::SecondPublisher;
use crate::media::hub::Hub;
use crate::output::testing::{Dir, tool};

pub(crate) struct Server {
    pub(crate) hub: Hub,
    pub(crate) rtmp: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) hls_root: Dir,
    _runtime: Runtime,
}

impl Server {
    /// Streams whose path contains `locked` need `auth_key=open` to be played or published.
    pub(crate) fn start() -> Server {
        Server::start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// The same with RTMP on a given address.
    pub(crate) fn start_at(rtmp: SocketAddr) -> Server {
        let (hub, hls_root) = (Hub::new(), Dir::new());
        let gate =
            Gate::new(|_: Access, path, key| !path.contains("locked") || key == Some("open"));
        let runtime = Runtime::new().unwrap();
        let bind = |address| runtime.block_on(TcpListener::bind(address)).unwrap();
        let http = SocketAddr::from(([127, 0, 0, 1], 0));
        let (rtmp_listener, http_listener) = (bind(rtmp), bind(http));
        let addresses = [&rtmp_listener, &http_listener].map(|l| l.local_addr().unwrap());
        let root = hls_root.0.clone();
        let router = crate::api::http::playback::router(hub.clone(), root, gate.clone());
        let serve = super::serve(
            rtmp_listener,
            hub.clone(),
            gate,
            SecondPublisher::Refuse,
            std::future::pending(),
        );
        runtime.spawn(serve);
        runtime.spawn(async move { axum::serve(http_listener, router).await });
        let [rtmp, http] = addresses;
        Server { hub, rtmp, http, hls_root, _runtime: runtime }
    }

    pub(crate) fn rtmp_url(&self, path: &str) -> String {
        format!("rtmp://{}/{path}", self.rtmp)
    }

    pub(crate) fn http_url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.http)
    }

    /// A real ffmpeg that pushes `seconds` of a test picture and tone to `path` in real time; not started yet.
    pub(crate) fn pusher(&self, path: &str, seconds: u32) -> std::process::Command {
        let (url, seconds) = (self.rtmp_url(path), seconds.to_string());
        let inputs = ["testsrc2=size=320x180:rate=30", "sine=frequency=440:sample_rate=48000"];
        tool(
            "ffmpeg",
            &[
                "-re",
                "-f",
                "lavfi",
                "-i",
                inputs[0],
                "-re",
                "-f",
                "lavfi",
                "-i",
                inputs[1],
                "-t",
                &seconds,
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-tune",
                "zerolatency",
                "-g",
                "30",
                "-pix_fmt",
                "yuv420p",
                "-c:a",
                "aac",
                "-ac",
                "2",
                "-f",
                "flv",
                &url,
            ],
        )
    }
}

//! Relays that go on in another way: their server, which takes one publisher a stream, refuses none.

use std::time::Duration;

use onair::api::grpc::pb as v1;

use crate::relays::configure;
use crate::support::{From, Server, Studio};

/// The relay, once it is live with this rendition.
async fn live_with(studio: &mut Studio, rendition: &str) -> v1::RelayStatus {
    let found = async {
        loop {
            let state = studio.state().await;
            let relay = state.outputs.into_iter().find_map(|output| output.relay);
            let relay = relay.filter(|relay| relay.rendition == rendition);
            if let Some(relay) = relay.filter(|relay| relay.state() == v1::RelayState::Live) {
                return relay;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), found).await.expect("a live relay")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_gets_another_rendition_ends_before_it_begins_again() {
    let server = Server::start();
    let sources = [From::Vod("pattern:640x360@30")];
    let mut studio = Studio::start_as(&server, &sources, |config| {
        config.transcode_config.as_mut().unwrap().live_templates = vec!["lld".into()];
    })
    .await;
    let full = studio.full("RV01").await;
    studio.take(&full).await;
    let url = format!("rtmp://{}/live/moves", server.rtmp);
    for rendition in ["", "lld", "", "lld"] {
        let relay = v1::Relay {
            url: url.clone(),
            name: "moves".into(),
            rendition: rendition.into(),
            ..Default::default()
        };
        configure(&mut studio, |config| config.relays = vec![relay]).await;
        let relay = live_with(&mut studio, rendition).await;
        assert_eq!((relay.reconnects, &relay.last_error[..]), (0, ""), "{relay:?}");
    }
    // Off and on again at once.
    for enabled in [false, true] {
        configure(&mut studio, |config| config.relays[0].enabled = Some(enabled)).await;
    }
    let relay = live_with(&mut studio, "lld").await;
    assert_eq!((relay.reconnects, &relay.last_error[..]), (0, ""), "{relay:?}");
}

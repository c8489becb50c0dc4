//! Relays on the binary: each fault with a real server on the other side, and what PGM and the other relays lose: nothing.

use std::net::TcpListener;
use std::time::Duration;

use onair::api::grpc::pb as v1;
use onair::time::Clock;

use crate::edges::get;
use crate::peers::{Flow, Gate};
use crate::support::{
    From, Process, Server, Studio, free_port, record, spawn_ffmpeg, ticks, wait_for,
};

/// Changes the configuration of a caster that is on air.
pub(crate) async fn configure(studio: &mut Studio, change: impl FnOnce(&mut v1::CasterConfig)) {
    let caster_id = studio.caster.clone();
    let request = v1::DescribeCasterConfigRequest { caster_id: caster_id.clone() };
    let told = studio.client.describe_caster_config(request).await.unwrap().into_inner();
    let mut config = told.config.unwrap();
    change(&mut config);
    let request = v1::SetCasterConfigRequest { caster_id, config: Some(config) };
    studio.client.set_caster_config(request).await.unwrap();
}

fn relay(name: &str, url: String) -> v1::Relay {
    v1::Relay { url, name: name.into(), ..Default::default() }
}

/// The state of a relay, once it is one of these; how long that took.
async fn until(
    studio: &mut Studio,
    name: &str,
    states: &[v1::RelayState],
) -> (v1::RelayStatus, Duration) {
    let clock = Clock::real();
    loop {
        let state = studio.state().await;
        let mut relays = state.outputs.iter().filter_map(|output| output.relay.as_ref());
        let relay = relays.find(|relay| relay.name == name).cloned();
        let took = Duration::from_nanos(clock.now_ns());
        if let Some(relay) = relay.clone().filter(|relay| states.contains(&relay.state())) {
            return (relay, took);
        }
        assert!(took < Duration::from_secs(40), "{name} is not {states:?}: {relay:?}");
        onair::worker::StopToken::new().wait(Duration::from_millis(20));
    }
}

fn grows(path: &std::path::Path) {
    wait_for("the recording to grow", Duration::from_secs(20), || {
        std::fs::metadata(path).ok().filter(|file| file.len() > 1000)
    });
}

fn finish(mut recorder: Process) {
    recorder.signal("INT");
    recorder.wait(Duration::from_secs(10));
}

/// Nothing is missing, and nothing comes twice.
fn check_whole(recording: &std::path::Path, at_least: usize) {
    let ticks = ticks(recording);
    assert!(ticks.len() >= at_least, "{} frames", ticks.len());
    let gaps: Vec<_> = ticks.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
    assert!(gaps.is_empty(), "{}: {gaps:?}", recording.display());
}

/// Each relay that broke is an event, once, and on the metrics page.
async fn check_told(server: &Server, studio: &mut Studio) {
    let request = v1::WatchCasterRequest {
        caster_id: studio.caster.clone(),
        events_after_sequence: Some(0),
        ..Default::default()
    };
    let mut states = studio.client.watch_caster(request).await.unwrap().into_inner();
    let mut events = Vec::new();
    let about = |events: &[v1::CasterEvent], relay: u32| {
        let told = events.iter().filter(|event| event.code == "SideOutputUrlInvalid");
        told.filter(|event| event.message.starts_with(&format!("relay-{relay}: "))).count()
    };
    // A state is told before the event of it, which is written down first.
    while (2..=6).any(|relay| about(&events, relay) == 0) {
        let message = tokio::time::timeout(Duration::from_secs(20), states.message()).await;
        events.extend(message.expect("each is an event").unwrap().unwrap().events);
    }
    let (_, page) = get(server.http, "/metrics");
    for relay in 2..=6 {
        assert_eq!(about(&events, relay), 1, "relay-{relay}: {events:?}");
        let line = |line: &&str| {
            line.contains(&format!("output=\"relay-{relay}\"")) && line.ends_with(" 1")
        };
        let states = page.lines().filter(|line| line.starts_with("onair_relay_state{"));
        assert_eq!(states.filter(line).count(), 1, "relay-{relay}: {page}");
    }
    assert!(!page.contains("s3cret") && !format!("{events:?}").contains("s3cret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_relay_is_told_and_hurts_nobody_else() {
    use v1::RelayState::{BackingOff, Disabled, Failed, Live};
    let server = Server::start();
    let mut studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let full = studio.full("RV01").await;
    studio.take(&full).await;
    let killed = Gate::to(server.rtmp);
    // It accepts and never reads: the backlog of a listener that nobody asks.
    let wedged = TcpListener::bind("127.0.0.1:0").unwrap();
    let [pgm, relayed] = ["pgm.flv", "steady.flv"].map(|name| server.folder.path(name));
    let steady = format!("rtmp://127.0.0.1:{}/live/s3cret", free_port());
    let listener = spawn_ffmpeg(&format!(
        "-listen 1 -f flv -i {steady} -c copy -flush_packets 1 -f flv {}",
        relayed.display()
    ));
    let relays = [
        ("steady", steady),
        ("killed", killed.url("killed")),
        ("wedged", format!("rtmp://{}/live/s3cret", wedged.local_addr().unwrap())),
        ("refusing", format!("rtmp://127.0.0.1:{}/live/s3cret", free_port())),
        // Somebody publishes there already.
        ("rejecting", studio.pgm.stream_url.clone()),
        ("no name", "rtmp://relay.invalid/live/s3cret".to_owned()),
    ];
    let relays = relays.map(|(name, url)| relay(name, url));
    configure(&mut studio, |config| config.relays = relays.to_vec()).await;
    let (began, _) = until(&mut studio, "steady", &[Live]).await;
    let recorders = [record(&studio.flv(), &pgm), listener];
    grows(&pgm);
    grows(&relayed);
    until(&mut studio, "killed", &[Live]).await;
    killed.set(Flow::Cut);
    let (status, found) = until(&mut studio, "killed", &[BackingOff]).await;
    println!("killed: told after {found:?}: {}", status.last_error);
    killed.set(Flow::Open);
    let (status, back) = until(&mut studio, "killed", &[Live]).await;
    println!("killed: live again {back:?} after its server was, reconnects {}", status.reconnects);
    assert!(status.reconnects > 0 && !status.last_error.is_empty(), "{status:?}");
    for (name, cause) in [
        ("wedged", "no answer within the time limit"),
        ("refusing", "Connection refused"),
        ("rejecting", "the server refuses the stream"),
        ("no name", "relay.invalid"),
    ] {
        let (status, took) = until(&mut studio, name, &[BackingOff, Failed]).await;
        println!("{name}: told after {took:?}: {}", status.last_error);
        assert!(status.last_error.contains(cause), "{status:?}");
    }
    check_told(&server, &mut studio).await;
    // Switching one off and on, and taking others away, is no matter of the rest.
    configure(&mut studio, |config| {
        config.relays.retain(|relay| ["steady", "killed"].contains(&&relay.name[..]));
        config.relays[1].enabled = Some(false);
    })
    .await;
    until(&mut studio, "killed", &[Disabled]).await;
    configure(&mut studio, |config| config.relays[1].enabled = Some(true)).await;
    let (_, back) = until(&mut studio, "killed", &[Live]).await;
    println!("switched on: live after {back:?}");
    let state = studio.state().await;
    let text = format!("{state:?}");
    assert!(!text.contains("s3cret"), "{text}");
    let (status, _) = until(&mut studio, "steady", &[Live]).await;
    assert_eq!(status.reconnects, began.reconnects, "{status:?}");
    recorders.into_iter().for_each(finish);
    check_whole(&pgm, 200);
    check_whole(&relayed, 200);
    assert_eq!(state.outputs[0].frames_dropped, 0, "{state:?}");
}

//! `onair top`: what a running server does, in a terminal, screen after screen.
//!
//! Asks by gRPC like any client. Must not draw but by text: a screen is a string, and two control sequences put it in the
//! place of the one before. Invariant: what is shown was told by the server; rates are of what it told before.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use crate::api::client::{self, Client};
use crate::api::grpc::pb as v1;
use crate::api::keys::AccessKeys;
use crate::config::{Config, TopArgs};
use crate::limits::{MAX_PAGE_SIZE, STOP_POLL};

/// To the upper left corner, and clear to the end.
const HOME: &str = "\x1b[H\x1b[J";
/// Longest wait for what a caster does.
const ANSWER: Duration = Duration::from_secs(3);

/// A caster and what it does.
type Seen = (v1::Caster, v1::WatchCasterResponse);
/// Frames and bytes of each output of each caster at the last look.
type Before = BTreeMap<(String, String), (u64, u64)>;

/// Shows what a server does until Ctrl-C, or once.
///
/// # Errors
/// When the server cannot be reached, has no key for us, or refuses it.
pub fn top(args: TopArgs) -> Result<(), String> {
    let config = args.settings.resolve()?;
    if config.tls.is_some() {
        return Err("onair top speaks to servers without TLS only".into());
    }
    let (id, secret) = key(&config)?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut client = client::connect(config.grpc, &id, &secret).await?;
        let every = Duration::from_secs(args.every.into());
        let mut before = None;
        loop {
            let (total, seen) = look(&mut client).await?;
            // A first look has nothing to tell rates by: another one follows at once.
            let (shown, is_first) =
                (screen((total, &seen), (before.as_ref(), every)), before.is_none());
            before = Some(counts(&seen));
            if !args.once {
                print!("{HOME}{shown}\n{} · every {every:?} · Ctrl-C ends", config.grpc);
                std::io::stdout().flush().map_err(|error| error.to_string())?;
            } else if !is_first {
                print!("{shown}");
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                _ = tokio::signal::ctrl_c() => return Ok(()),
            }
        }
    })
}

fn key(config: &Config) -> Result<(String, String), String> {
    if let Some(key) = &config.access_key {
        return Ok(key.clone());
    }
    let none =
        || format!("no access key: give one, or the server's --data ({})", config.data.display());
    if !config.data.is_dir() {
        return Err(none());
    }
    let keys = AccessKeys::open(&config.data, None).map_err(|error| error.to_string())?;
    let key = keys.admin().ok_or_else(none)?;
    Ok((key.id().to_owned(), key.secret().to_owned()))
}

/// How many casters there are, and those of the first page with what they do, on air first.
async fn look(client: &mut Client) -> Result<(i32, Vec<Seen>), String> {
    let told = |status: &dyn std::fmt::Display| format!("the server says: {status}");
    let page_size = i32::try_from(MAX_PAGE_SIZE).ok();
    let request = v1::DescribeCastersRequest { page_size, ..Default::default() };
    let found = client.describe_casters(request).await.map_err(|status| told(&status))?;
    let v1::DescribeCastersResponse { total, mut casters } = found.into_inner();
    casters.sort_by_key(|caster| caster.status() != v1::CasterStatus::Streaming);
    let mut seen = Vec::new();
    for caster in casters {
        let request =
            v1::WatchCasterRequest { caster_id: caster.caster_id.clone(), ..Default::default() };
        let state = tokio::time::timeout(ANSWER, async {
            let states = client.watch_caster(request).await.ok()?;
            states.into_inner().message().await.ok()?
        });
        // One that was deleted meanwhile is left out.
        if let Ok(Some(state)) = state.await {
            seen.push((caster, state));
        }
    }
    Ok((total, seen))
}

fn counts(seen: &[Seen]) -> Before {
    let of = |(caster, state): &Seen| {
        let id = caster.caster_id.clone();
        let outputs = state.outputs.iter();
        outputs
            .map(|output| ((id.clone(), output.name.clone()), (output.frames, output.bytes)))
            .collect::<Vec<_>>()
    };
    seen.iter().flat_map(of).collect()
}

/// One screen; without counts of `every` before there are no rates.
fn screen((total, seen): (i32, &[Seen]), (before, every): (Option<&Before>, Duration)) -> String {
    let on_air = seen.iter().filter(|(_, state)| state.status() == v1::CasterStatus::Streaming);
    let mut text = format!("onair · {total} casters · {} on air\n", on_air.count());
    for (caster, state) in seen {
        caster_line(&mut text, caster, state);
        if state.status() != v1::CasterStatus::Streaming {
            continue;
        }
        for input in &state.inputs {
            input_line(&mut text, input);
        }
        for output in &state.outputs {
            let key = (caster.caster_id.clone(), output.name.clone());
            let rates = before.and_then(|before| before.get(&key)).map(|&(frames, bytes)| {
                let per_s = |now: u64, then: u64| {
                    now.saturating_sub(then) as f64 / every.max(STOP_POLL).as_secs_f64()
                };
                (per_s(output.frames, frames), per_s(output.bytes, bytes) * 8.0)
            });
            output_line(&mut text, output, rates);
        }
        let stage = |stage: &v1::StageTiming| {
            format!("{} {}/{}", stage.stage, ms(stage.p50_us), ms(stage.p99_us))
        };
        let stages: Vec<_> = state.stages.iter().map(stage).collect();
        // Writing to a String does not fail.
        let _ = writeln!(text, "  timing   ms, median/99 %: {}", stages.join("  "));
    }
    text
}

fn ms(us: u64) -> String {
    format!("{:.1}", us as f64 / 1000.0)
}

fn caster_line(text: &mut String, caster: &v1::Caster, state: &v1::WatchCasterResponse) {
    let tally = state.tally.clone().unwrap_or_default();
    let black = match tally.black() {
        v1::BlackState::Off => "",
        v1::BlackState::Fading => "  FADING",
        v1::BlackState::Full => "  BLACK",
    };
    let _ = match state.status() {
        v1::CasterStatus::Idle => writeln!(text, "\n{}  off air", caster.caster_name),
        v1::CasterStatus::Streaming => writeln!(
            text,
            "\n{}  ON AIR  frame {}  pgm {}  pvw {}{black}{}",
            caster.caster_name,
            state.tick,
            listed(&tally.pgm),
            listed(&tally.pvw),
            match state.restarts {
                0 => String::new(),
                restarts => format!("  restarted {restarts}×"),
            }
        ),
    };
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "–".into() } else { names.join("+") }
}

fn input_line(text: &mut String, input: &v1::InputStatus) {
    let state = input.state().as_str_name().trim_start_matches("INPUT_STATE_").to_lowercase();
    let location = if input.location_id.is_empty() { "–" } else { &input.location_id };
    let _ = writeln!(
        text,
        "  source   {location:<10} {state:<10} frames {:<9} dropped {:<6} reconnects {:<4} {}",
        input.frames, input.frames_dropped, input.reconnects, input.message
    );
}

fn output_line(text: &mut String, output: &v1::OutputStatus, rates: Option<(f64, f64)>) {
    let rates = rates.map_or_else(
        || format!("{:>6}   {:>6}      ", "–", "–"),
        |(fps, bps)| format!("{fps:>6.1}/s {:>6.0} kbit/s", bps / 1000.0),
    );
    let _ = writeln!(
        text,
        "  output   {:<10} {:<5} {rates}  late {:<6} dropped {:<6} receivers {:<4} restarts {:<3} {}",
        output.name,
        if output.encoder.is_empty() { "–" } else { &output.encoder },
        output.frames_late,
        output.frames_dropped,
        output.subscribers,
        output.restarts,
        output.message
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_tells_what_the_server_told() {
        let caster = |name: &str| v1::Caster {
            caster_id: name.to_lowercase(),
            caster_name: name.into(),
            ..Default::default()
        };
        let output = v1::OutputStatus {
            name: "pgm".into(),
            frames: 330,
            bytes: 350_000,
            restarts: 1,
            encoder: "nvenc".into(),
            ..Default::default()
        };
        let input = v1::InputStatus {
            location_id: "RV01".into(),
            state: v1::InputState::Stale.into(),
            message: "timed out".into(),
            ..Default::default()
        };
        let stage = v1::StageTiming { stage: "draw".into(), p50_us: 1234, ..Default::default() };
        let state = v1::WatchCasterResponse {
            status: v1::CasterStatus::Streaming.into(),
            tick: 330,
            restarts: 2,
            tally: Some(v1::Tally {
                pgm: vec!["RV01".into(), "RV02".into()],
                ..Default::default()
            }),
            inputs: vec![input],
            outputs: vec![output],
            stages: vec![stage],
            ..Default::default()
        };
        let seen = [(caster("News"), state), (caster("Sport"), v1::WatchCasterResponse::default())];
        let before = BTreeMap::from([(("news".into(), "pgm".into()), (300, 100_000))]);
        let every = Duration::from_secs(1);
        let with_rates = screen((2, &seen), (Some(&before), every));
        for told in [
            "2 casters · 1 on air",
            "News  ON AIR  frame 330  pgm RV01+RV02  pvw –  restarted 2×",
            "source   RV01       stale",
            "timed out",
            "  output   pgm        nvenc   30.0/s   2000 kbit/s",
            "draw 1.2/0.0",
            "Sport  off air",
        ] {
            assert!(with_rates.contains(told), "{told} is not in\n{with_rates}");
        }
        assert!(!screen((2, &seen), (None, every)).contains("kbit/s"));
    }
}

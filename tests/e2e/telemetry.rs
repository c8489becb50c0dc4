//! What the server tells of itself: the metrics page, its documentation, the dashboard.

use std::collections::BTreeSet;

use crate::edges::get;
use crate::support::{From, Server, Studio};

/// The names of metrics in a text, without what the kinds of them append.
fn names(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_name(c))
        .filter(|word| word.starts_with("onair_"))
        .map(|word| {
            let ends = ["_total", "_bucket", "_sum", "_count"];
            ends.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_their_page_and_the_dashboard_agree() {
    let server = Server::start();
    let mut studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let layout = studio.full("RV01").await;
    studio.take(&layout).await;
    crate::support::wait_for("a measured picture", std::time::Duration::from_secs(20), || {
        get(server.http, "/metrics").1.contains("onair_pgm_luma_mean{").then_some(())
    });
    let page = get(server.http, "/metrics").1;
    let described: Vec<&str> = page.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let told = names(&described.join("\n"));
    let documentation = include_str!("../../docs/metrics.md");
    let rows = documentation.lines().filter(|line| line.starts_with("| `onair_"));
    let (sometimes, always): (Vec<&str>, Vec<&str>) =
        rows.partition(|row| row.contains("only where"));
    let (sometimes, always) = (names(&sometimes.join("\n")), names(&always.join("\n")));
    let undocumented: Vec<_> =
        told.iter().filter(|name| !always.contains(*name) && !sometimes.contains(*name)).collect();
    assert!(undocumented.is_empty(), "not in docs/metrics.md: {undocumented:?}");
    let missing: Vec<_> = always.difference(&told).collect();
    assert!(missing.is_empty(), "in docs/metrics.md and not told: {missing:?}");
    let dashboard = include_str!("../../docs/grafana.json");
    assert!(serde_json::from_str::<serde_json::Value>(dashboard).is_ok());
    let shown = names(dashboard);
    assert!(shown.len() > 20, "{shown:?}");
    // What only some machines tell may be shown too.
    let unknown: Vec<_> =
        shown.difference(&told).filter(|name| !sometimes.contains(*name)).collect();
    assert!(unknown.is_empty(), "in docs/grafana.json and not told: {unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn top_shows_what_runs() {
    let server = Server::start();
    let mut studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let layout = studio.full("RV01").await;
    studio.take(&layout).await;
    // The key is found in the environment, as the server's is.
    let shown = std::process::Command::new(env!("CARGO_BIN_EXE_onair"))
        .args(["top", "--once", "--grpc", &server.grpc.to_string()])
        .env("ONAIR_ACCESS_KEY_ID", crate::support::KEY)
        .env("ONAIR_ACCESS_KEY_SECRET", crate::support::SECRET)
        .output()
        .unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    println!("{text}");
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    for told in [
        "1 casters · 1 on air",
        "test  ON AIR",
        "pgm RV01",
        "source   RV01       live",
        "output   pgm",
        "kbit/s",
    ] {
        assert!(text.contains(told), "{told} is not in\n{text}");
    }
    assert!(!text.contains('\x1b'), "no control characters");
}

//! The cloud API as its own SDKs see it: unmodified packages, pointed at the built binary.

use std::path::Path;
use std::process::Command;

use crate::support::{KEY, SECRET, Server};

/// Runs a script of `tests/sdk` against a server of its own.
fn run(script: &str, mode: &[&str]) {
    run_against(&Server::start(), script, mode);
}

fn run_against(server: &Server, script: &str, mode: &[&str]) {
    let runner = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/run");
    let output = Command::new(runner)
        .args([script, &server.http.to_string(), KEY, SECRET])
        .args(mode)
        .output()
        .unwrap();
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{script} {mode:?}\n{out}\n{err}");
}

#[test]
fn classic_python_by_v1() {
    run("classic.py", &[]);
}

#[test]
fn typed_python_by_v3() {
    run("tea.py", &[]);
}

#[test]
fn typed_python_by_v1() {
    run("tea.py", &["v2"]);
}

#[test]
fn pop_core_by_get_and_post() {
    run("pop_core.js", &["GET"]);
    run("pop_core.js", &["POST"]);
}

#[test]
fn openapi_core_by_v3() {
    run("openapi_core.js", &["query"]);
    run("openapi_core.js", &["form"]);
}

#[test]
fn refusals_as_the_sdks_report_them() {
    run("faults.py", &[]);
}

#[test]
fn a_client_that_calls_too_often_is_told_so() {
    run_against(&Server::start_with(&["--api-rate", "1"]), "throttled.py", &[]);
}

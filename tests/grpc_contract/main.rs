//! The gRPC contract, in process: a real server and a real client over loopback, the catalog and the store behind
//! them, and in the place of the engine an app that applies every change at once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod app;
mod edges;
mod errors;
mod look;
mod operations;
mod workflow;

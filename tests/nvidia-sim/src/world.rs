//! All that the simulated driver holds in one process.
//!
//! Must not know what a session does. Invariant: what is held is in here, so that it can be counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::faults::Faults;
use crate::memory::Mapping;
use crate::session::Session;

/// The one primary context, as a pointer that nobody may follow.
pub const CONTEXT: usize = 0xc0de_0000;

/// See the module.
pub struct World {
    /// What goes wrong.
    pub faults: Faults,
    /// How often the primary context is retained.
    pub retained: u64,
    /// Sessions by their handle.
    pub sessions: BTreeMap<usize, Arc<Mutex<Session>>>,
    /// What was brought in, by its handle.
    pub memories: BTreeMap<usize, Mapping>,
    pub timelines: BTreeMap<usize, Mapping>,
    pub streams: BTreeSet<usize>,
    /// Addresses that sessions have registered, by the handle of that.
    pub registered: BTreeMap<usize, u64>,
    /// Heights of pictures that can no longer be encoded; 0: any.
    pub gone: Vec<u32>,
    /// The next handle.
    next: usize,
    opened: u64,
    pictures: u64,
    direct: u64,
    violations: u64,
}

/// Writes a line to standard error.
pub fn say(text: &str) {
    eprintln!("nvidia simulator: {text}");
}

/// The world, locked.
pub fn world() -> MutexGuard<'static, World> {
    static WORLD: OnceLock<Mutex<World>> = OnceLock::new();
    let begin = || {
        let text = std::env::var_os("ONAIR_NVIDIA_SIM").unwrap_or_default();
        let text = text.to_string_lossy();
        say(&format!("in the place of the driver; faults: {text}"));
        // SAFETY: the function below takes no argument and does not unwind.
        unsafe { libc::atexit(tell_at_exit) };
        Mutex::new(World {
            faults: Faults::parse(&text),
            retained: 0,
            sessions: BTreeMap::new(),
            memories: BTreeMap::new(),
            timelines: BTreeMap::new(),
            streams: BTreeSet::new(),
            registered: BTreeMap::new(),
            gone: Vec::new(),
            next: 0x5e55_0000,
            opened: 0,
            pictures: 0,
            direct: 0,
            violations: 0,
        })
    };
    WORLD.get_or_init(begin).lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn tell_at_exit() {
    let [
        contexts,
        sessions,
        inputs,
        bitstreams,
        memories,
        timelines,
        streams,
        registered,
        rest @ ..,
    ] = world().counts();
    let [opened, pictures, direct, violations] = rest;
    let told = format!(
        "at exit: {contexts} contexts, {sessions} sessions, {inputs} input buffers, {bitstreams} bitstream buffers, \
         {memories} memories, {timelines} timelines, {streams} streams, {registered} registered held; \
         {opened} sessions opened, {pictures} pictures, {direct} of them direct, {violations} violations"
    );
    say(&told);
    if let Some(path) = std::env::var_os("ONAIR_NVIDIA_SIM_REPORT") {
        let _ = std::fs::write(path, told);
    }
}

impl World {
    /// A handle that was never given before.
    pub fn handle(&mut self) -> usize {
        self.next += 0x10;
        self.next
    }

    /// Notes a session.
    pub fn open(&mut self, session: Session) -> usize {
        let handle = self.handle();
        self.sessions.insert(handle, Arc::new(Mutex::new(session)));
        self.opened += 1;
        handle
    }

    /// Counts a picture; `direct` is 1 if it lay in memory that was brought in.
    pub fn encoded(&mut self, direct: u64) {
        self.pictures += 1;
        self.direct += direct;
    }

    /// Counts a call that the header forbids.
    pub fn violated(&mut self, what: &str) {
        self.violations += 1;
        say(&format!("VIOLATION: {what}"));
    }

    /// In the order of [`crate::control::nvidia_sim_counts`].
    pub fn counts(&self) -> [u64; 12] {
        let (mut inputs, mut bitstreams) = (0, 0);
        for session in self.sessions.values() {
            // One that encodes just now is counted as it was.
            if let Ok(session) = session.try_lock() {
                inputs += session.inputs.len() as u64;
                bitstreams += session.outputs.len() as u64;
            }
        }
        [
            self.retained,
            self.sessions.len() as u64,
            inputs,
            bitstreams,
            self.memories.len() as u64,
            self.timelines.len() as u64,
            self.streams.len() as u64,
            self.registered.len() as u64,
            self.opened,
            self.pictures,
            self.direct,
            self.violations,
        ]
    }
}

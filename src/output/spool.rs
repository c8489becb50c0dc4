//! Where delayed packets wait: in memory up to a limit, then in a file without a name.
//!
//! Must not know times. Invariants: memory and file are bounded; the file is gone when the process is, however it ends.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::limits::{DELAY_MEMORY_BYTES, DELAY_SLOT_BYTES, DELAY_SLOTS};

/// Where some bytes are.
#[derive(Debug)]
pub(super) enum Place {
    Memory(Bytes),
    File { slot: usize, offset: u64, bytes: usize },
}

#[derive(Debug)]
pub(super) struct Spool {
    dir: PathBuf,
    file: Option<File>,
    memory_bytes: usize,
    memory_limit: usize,
    /// Units in each slot of the file.
    slots: Vec<usize>,
    free: Vec<usize>,
    /// The slot that is written to, and the bytes in it.
    current: Option<(usize, usize)>,
}

impl Spool {
    pub(super) fn new(dir: PathBuf) -> Spool {
        Spool::with_memory(dir, DELAY_MEMORY_BYTES)
    }

    pub(super) fn with_memory(dir: PathBuf, memory_limit: usize) -> Spool {
        Spool {
            dir,
            file: None,
            memory_bytes: 0,
            memory_limit,
            slots: Vec::new(),
            free: Vec::new(),
            current: None,
        }
    }

    /// Keeps bytes.
    pub(super) fn keep(&mut self, data: Bytes) -> io::Result<Place> {
        // What fits no slot is rare and larger than any picture should be.
        if self.memory_bytes + data.len() <= self.memory_limit || data.len() > DELAY_SLOT_BYTES {
            self.memory_bytes += data.len();
            return Ok(Place::Memory(data));
        }
        let (slot, used) = self.slot_for(data.len())?;
        let offset = (slot * DELAY_SLOT_BYTES + used) as u64;
        self.open()?.write_all_at(&data, offset)?;
        self.slots[slot] += 1;
        self.current = Some((slot, used + data.len()));
        Ok(Place::File { slot, offset, bytes: data.len() })
    }

    /// A slot with room.
    fn slot_for(&mut self, bytes: usize) -> io::Result<(usize, usize)> {
        match self.current {
            Some((slot, used)) if used + bytes <= DELAY_SLOT_BYTES => return Ok((slot, used)),
            // Its units have all left already.
            Some((slot, _)) if self.slots[slot] == 0 => return Ok((slot, 0)),
            _ => {}
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < DELAY_SLOTS => {
                self.slots.push(0);
                self.slots.len() - 1
            }
            None => return Err(io::Error::other("what is delayed takes too much room")),
        };
        self.current = Some((slot, 0));
        Ok((slot, 0))
    }

    fn open(&mut self) -> io::Result<&File> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if self.file.is_none() {
            std::fs::create_dir_all(&self.dir)?;
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = self.dir.join(format!("delay-{}-{number}.tmp", std::process::id()));
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(true);
            self.file = Some(options.open(&path)?);
            std::fs::remove_file(path)?;
        }
        self.file.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Gives bytes back and lets their room go.
    pub(super) fn take(&mut self, place: Place) -> io::Result<Bytes> {
        let data = match &place {
            Place::Memory(data) => Ok(data.clone()),
            Place::File { offset, bytes, .. } => {
                let mut data = vec![0; *bytes];
                self.open()
                    .and_then(|file| file.read_exact_at(&mut data, *offset))
                    .map(|()| data.into())
            }
        };
        self.forget(place);
        data
    }

    /// Keeps bytes that were taken a moment ago, in memory whatever the limit.
    pub(super) fn put_back(&mut self, data: Bytes) -> Place {
        self.memory_bytes += data.len();
        Place::Memory(data)
    }

    /// Lets the room of bytes go that nobody wants any more.
    pub(super) fn forget(&mut self, place: Place) {
        match place {
            Place::Memory(data) => self.memory_bytes -= data.len(),
            Place::File { slot, .. } => {
                self.slots[slot] -= 1;
                let is_current = self.current.is_some_and(|(current, _)| current == slot);
                if self.slots[slot] == 0 && !is_current {
                    self.free.push(slot);
                }
            }
        }
    }
}

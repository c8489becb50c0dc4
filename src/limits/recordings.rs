//! Limits of recordings and of their way to object storage.
//!
//! Must not know code. Invariant: as of [`crate::limits`].

use std::time::Duration;

/// Bytes of the template that a recorded file is named by.
pub const MAX_RECORD_NAME_BYTES: usize = 512;
/// Characters of a stream's or application's name that become part of a file name.
pub const MAX_RECORD_VALUE_BYTES: usize = 100;
/// Least time from the beginning of a recorded file to the next.
pub const MIN_RECORD_CYCLE: Duration = Duration::from_secs(1);
/// Media in a recorded segment (cut at the next keyframe).
pub const RECORD_SEGMENT: Duration = Duration::from_secs(6);
/// Media in a fragment of an MP4 that is recorded: what a kill costs at most.
pub const RECORD_FRAGMENT: Duration = Duration::from_millis(500);
/// Bytes free on the disk, besides what recordings leave free of it, that a new recorded file wants: a disk that is full is
/// not filled up with beginnings.
pub const RECORD_ROOM_BYTES: u64 = 8 << 20;
/// Bytes of a recorded file between looks at how much room the disk has.
pub const RECORD_ROOM_CHECK_BYTES: u64 = 1 << 20;
/// Time that a recorder waits for the index before it goes on without: the queue of its packets is long enough for it.
pub const RECORD_INDEX_WAIT: Duration = Duration::from_secs(3);
/// Recorded files that are finished, or let go, between two looks at the index.
pub const RECORDINGS_AT_ONCE: usize = 256;
/// Time between looks at which recordings are too old or too many.
pub const RECORDINGS_SWEEP: Duration = Duration::from_secs(10);
/// Bytes of a recorded file that are read at once for a client.
pub const RECORDING_READ_BYTES: usize = 256 << 10;
/// Packets that wait for the sound that still belongs to the file before; more, and it is cut there.
pub const RECORD_SPLIT_PACKETS: usize = 64;
/// Length of a file that an answer to whether to record may ask for, s (the cloud's).
pub const MIN_ANSWERED_CYCLE_S: u32 = 5;
/// Bytes of such an answer: a tenth of it has more than there is to say.
pub const RECORD_ANSWER_BYTES: u64 = 2000;
/// Time for one such question, how often it is asked in a row, how far apart, and how far apart from then on (the cloud's, which
/// does not go on).
pub const RECORD_ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// See [`RECORD_ASK_TIMEOUT`].
pub const RECORD_ASKS: u32 = 5;
/// See [`RECORD_ASK_TIMEOUT`].
pub const RECORD_ASK_PAUSE: Duration = Duration::from_secs(1);
/// See [`RECORD_ASK_TIMEOUT`].
pub const RECORD_ASK_REST: Duration = Duration::from_secs(60);
/// Directories within each other in which unfinished recordings are looked for.
pub const RECORD_DEPTH: usize = 16;

/// Time to connect to object storage, TLS included.
pub const STORAGE_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time without a byte in either direction after which a request to object storage is given up. A storage may take its time
/// to put a large object together, but says something meanwhile.
pub const STORAGE_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a part of a recording that is uploaded; what is no larger goes in one request. S3 takes 5 MiB to 5 GiB.
pub const UPLOAD_PART_BYTES: u64 = 8 << 20;
/// Parts of a file at most (S3); larger ones come in larger parts.
pub const UPLOAD_PARTS: u64 = 10_000;
/// Parts, or small files, that are on their way at once. Each is in memory.
pub const PARTS_AT_ONCE: usize = 4;
/// Wait after an upload that failed, at first and at most; what only a person can change is looked at as seldom as that.
pub const UPLOAD_RETRY_FIRST: Duration = Duration::from_secs(1);
/// See [`UPLOAD_RETRY_FIRST`].
pub const UPLOAD_RETRY_MAX: Duration = Duration::from_secs(60);
/// Recordings that wait to be removed from object storage; who asks waits.
pub const STORAGE_REMOVALS: usize = 16;
/// Bytes of a stored playlist: a day of segments takes 2 MB.
pub const MAX_STORED_PLAYLIST_BYTES: u64 = 16 << 20;

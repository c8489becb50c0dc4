//! RTMP's chunk stream: bytes to messages and back.
//!
//! Owns chunk headers, interleaved chunk streams, extended timestamps and the limits of a peer that lies. Must not know what
//! messages mean. Invariant: never holds more than [`RTMP_MESSAGE_BYTES`] of unfinished messages, whatever a peer announces.
//!
//! The `rml_rtmp` session reads one chunk stream at a time and takes any message size; so messages are put together here and
//! it is handed the commands only.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes, BytesMut};

use crate::limits::{
    RTMP_CHUNK_BYTES, RTMP_CHUNK_STREAMS, RTMP_MESSAGE_BYTES, RTMP_MIN_CHUNK_BYTES,
};

/// Message types that the chunk layer itself obeys.
const SET_CHUNK_SIZE: u8 = 1;
const ABORT: u8 = 2;

/// A timestamp field of this value announces an extended one.
const EXTENDED: u32 = 0xff_ffff;

/// A whole RTMP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) timestamp_ms: u32,
    pub(super) stream_id: u32,
    pub(super) data: Bytes,
}

/// Why a peer's bytes are not RTMP, or more than is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ChunkError {
    #[error("a chunk refers to a header that was never sent")]
    NoHeader,
    #[error("a message of {0} bytes")]
    TooLong(usize),
    #[error("unfinished messages of more than {RTMP_MESSAGE_BYTES} bytes")]
    TooMuch,
    #[error("more than {RTMP_CHUNK_STREAMS} chunk streams")]
    TooManyStreams,
    #[error("a chunk size of {0}")]
    ChunkSize(u32),
}

/// What is known of a chunk stream.
#[derive(Debug, Default)]
struct ChunkStream {
    timestamp_ms: u32,
    /// As last sent: absolute or delta.
    field: u32,
    length: usize,
    kind: u8,
    stream_id: u32,
    partial: BytesMut,
}

/// Puts messages together.
#[derive(Debug)]
pub(super) struct Reader {
    buffer: BytesMut,
    chunk_bytes: usize,
    streams: BTreeMap<u32, ChunkStream>,
    partial_bytes: usize,
}

/// A chunk's header, read but not yet applied.
struct Header {
    bytes: usize,
    id: u32,
    format: u8,
    field: u32,
    length: usize,
    kind: u8,
    stream_id: u32,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            buffer: BytesMut::new(),
            chunk_bytes: 128, // Until the peer says otherwise, by the specification.
            streams: BTreeMap::new(),
            partial_bytes: 0,
        }
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, `None` when more bytes are needed.
    pub(super) fn next(&mut self) -> Result<Option<Message>, ChunkError> {
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            let stream = self.streams.get(&header.id);
            let held = stream.map_or(0, |stream| stream.partial.len());
            let count = (header.length - held.min(header.length)).min(self.chunk_bytes);
            if self.buffer.len() < header.bytes + count {
                return Ok(None);
            }
            if let Some(message) = self.take_chunk(&header, count)?
                && !self.obey(&message)?
            {
                return Ok(Some(message));
            }
        }
    }

    fn header(&self) -> Result<Option<Header>, ChunkError> {
        let mut bytes: &[u8] = &self.buffer;
        let whole = bytes.len();
        let Some(first) = bytes.try_get_u8().ok() else { return Ok(None) };
        let id = match first & 0x3f {
            0 => bytes.try_get_u8().ok().map(|low| 64 + u32::from(low)),
            1 => bytes.try_get_u16_le().ok().map(|low| 64 + u32::from(low)),
            id => Some(u32::from(id)),
        };
        let (Some(id), format) = (id, first >> 6) else { return Ok(None) };
        let known = self.streams.get(&id);
        let unknown = ChunkStream::default();
        let Some(before) = known.or((format == 0).then_some(&unknown)) else {
            return Err(ChunkError::NoHeader);
        };
        let (mut length, mut kind) = (before.length, before.kind);
        let (mut field, mut stream_id) = (before.field, before.stream_id);
        if bytes.len() < [11, 7, 3, 0][usize::from(format)] {
            return Ok(None);
        }
        if format <= 2 {
            field = bytes.get_uint(3) as u32;
        }
        if format <= 1 {
            length = bytes.get_uint(3) as usize;
            kind = bytes.get_u8();
        }
        if format == 0 {
            stream_id = bytes.get_u32_le();
        }
        if length > RTMP_MESSAGE_BYTES {
            return Err(ChunkError::TooLong(length));
        }
        let extended = match format {
            // Some peers repeat the extended timestamp on continuations, some do not.
            3 if before.field >= EXTENDED => {
                let Some(next) = bytes.first_chunk() else { return Ok(None) };
                u32::from_be_bytes(*next) == before.field
            }
            3 => false,
            _ => field == EXTENDED,
        };
        if extended {
            let Ok(value) = bytes.try_get_u32() else { return Ok(None) };
            field = value;
        }
        let bytes = whole - bytes.len();
        Ok(Some(Header { bytes, id, format, field, length, kind, stream_id }))
    }

    fn take_chunk(&mut self, header: &Header, count: usize) -> Result<Option<Message>, ChunkError> {
        if !self.streams.contains_key(&header.id) && self.streams.len() >= RTMP_CHUNK_STREAMS {
            return Err(ChunkError::TooManyStreams);
        }
        self.buffer.advance(header.bytes);
        let data = &self.buffer[..count];
        let stream = self.streams.entry(header.id).or_default();
        if header.format <= 1 && !stream.partial.is_empty() {
            // A new message where the rest of one was due: the rest will not come.
            self.partial_bytes -= stream.partial.len();
            stream.partial.clear();
        }
        if stream.partial.is_empty() {
            stream.timestamp_ms = match header.format {
                0 => header.field,
                _ => stream.timestamp_ms.wrapping_add(header.field),
            };
        }
        (stream.field, stream.length) = (header.field, header.length);
        (stream.kind, stream.stream_id) = (header.kind, header.stream_id);
        let held = stream.partial.len();
        let is_whole = held + count >= header.length;
        let whole = match is_whole && held == 0 {
            // Copied to measure: a slice would keep the whole read buffer alive for as long as the tag is kept.
            true => Some(Bytes::copy_from_slice(data)),
            false => {
                stream.partial.extend_from_slice(data);
                is_whole.then(|| std::mem::take(&mut stream.partial).freeze())
            }
        };
        self.buffer.advance(count);
        let Some(data) = whole else {
            self.partial_bytes += count;
            let fits = self.partial_bytes <= RTMP_MESSAGE_BYTES;
            return if fits { Ok(None) } else { Err(ChunkError::TooMuch) };
        };
        self.partial_bytes -= held;
        let (kind, timestamp_ms, stream_id) = (stream.kind, stream.timestamp_ms, stream.stream_id);
        Ok(Some(Message { kind, timestamp_ms, stream_id, data }))
    }

    /// Carries out what is meant for the chunk layer; true when it was.
    fn obey(&mut self, message: &Message) -> Result<bool, ChunkError> {
        let number = || message.data.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        match message.kind {
            SET_CHUNK_SIZE => {
                let size = number();
                if size >> 31 != 0 || (size as usize) < RTMP_MIN_CHUNK_BYTES {
                    return Err(ChunkError::ChunkSize(size));
                }
                // No message is longer, so no chunk need be.
                self.chunk_bytes = (size as usize).min(RTMP_MESSAGE_BYTES);
                Ok(true)
            }
            ABORT => {
                if let Some(stream) = self.streams.get_mut(&number()) {
                    self.partial_bytes -= stream.partial.len();
                    stream.partial.clear();
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

/// Appends a message to `out` with whole headers, cut at [`RTMP_CHUNK_BYTES`]. `chunk_stream` must be 7–63: those below
/// belong to the session, whose headers refer to each other.
pub(super) fn write(out: &mut Vec<u8>, chunk_stream: u8, message: &Message) {
    let field = message.timestamp_ms.min(EXTENDED);
    let extended = (field == EXTENDED).then(|| message.timestamp_ms.to_be_bytes());
    out.push(chunk_stream);
    out.extend_from_slice(&field.to_be_bytes()[1..]);
    out.extend_from_slice(&(message.data.len() as u32).to_be_bytes()[1..]);
    out.push(message.kind);
    out.extend_from_slice(&message.stream_id.to_le_bytes());
    out.extend(extended.into_iter().flatten());
    for (index, chunk) in message.data.chunks(RTMP_CHUNK_BYTES as usize).enumerate() {
        if index > 0 {
            out.push(0xc0 | chunk_stream);
            out.extend(extended.into_iter().flatten());
        }
        out.extend_from_slice(chunk);
    }
}

#[cfg(test)]
mod tests;

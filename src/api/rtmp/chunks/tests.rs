//! The chunk layer against its own writer, against rml_rtmp's, and against liars.

use bytes::Bytes;
use proptest::prelude::*;
use rml_rtmp::chunk_io::ChunkSerializer;
use rml_rtmp::messages::MessagePayload;
use rml_rtmp::time::RtmpTimestamp;

use super::{ChunkError, Message, Reader, write};
use crate::limits::{RTMP_CHUNK_STREAMS, RTMP_MESSAGE_BYTES};

fn message(kind: u8, timestamp_ms: u32, bytes: usize) -> Message {
    let data: Vec<u8> = (0..bytes).map(|n| (n % 251) as u8).collect();
    Message { kind, timestamp_ms, stream_id: 1, data: data.into() }
}

fn set_chunk_size(size: u32) -> Vec<u8> {
    let data = Bytes::copy_from_slice(&size.to_be_bytes());
    let mut out = Vec::new();
    write(&mut out, 2, &Message { kind: 1, timestamp_ms: 0, stream_id: 0, data });
    out
}

/// Feeds bytes in pieces and gives the messages.
fn read(bytes: &[u8], piece: usize) -> Result<Vec<Message>, ChunkError> {
    let mut reader = Reader::new();
    let mut messages = Vec::new();
    for piece in bytes.chunks(piece) {
        reader.extend(piece);
        while let Some(message) = reader.next()? {
            messages.push(message);
        }
    }
    Ok(messages)
}

#[test]
fn what_is_written_is_read_whatever_the_pieces() {
    let messages = [
        message(9, 0, 70_000),
        message(8, 0xff_fffe, 5),
        message(9, 0xff_ffff, 70_000),
        message(9, 0x1234_5678, 32 << 10),
        message(18, 7, 0),
    ];
    let mut bytes = set_chunk_size(32 << 10);
    for (on, message) in messages.iter().enumerate() {
        write(&mut bytes, 7 + on as u8 % 3, message);
    }
    for piece in [1, 13, 4096, bytes.len()] {
        assert_eq!(read(&bytes, piece).unwrap(), messages, "in pieces of {piece}");
    }
}

#[test]
fn compressed_headers_are_understood() {
    // rml_rtmp writes all four header formats.
    let mut serializer = ChunkSerializer::new();
    let (mut bytes, mut sent) = (Vec::new(), Vec::new());
    for n in 0..40_u32 {
        let ms = if n < 30 { n * 23 } else { 0xff_fff0 + n * 40 };
        let message = message(8, ms, if n % 7 == 0 { 300 } else { 40 });
        let payload = MessagePayload {
            timestamp: RtmpTimestamp::new(ms),
            type_id: message.kind,
            message_stream_id: message.stream_id,
            data: message.data.clone(),
        };
        bytes.extend(serializer.serialize(&payload, false, false).unwrap().bytes);
        sent.push(message);
    }
    assert_eq!(read(&bytes, 100).unwrap(), sent);
}

#[test]
fn interleaved_chunk_streams_come_apart() {
    // A video message of two chunks with a whole audio message between them.
    let (video, audio) = (message(9, 40, 200), message(8, 41, 10));
    let mut bytes = vec![6, 0, 0, 40, 0, 0, 200, 9, 1, 0, 0, 0];
    bytes.extend_from_slice(&video.data[..128]);
    write(&mut bytes, 4, &audio);
    bytes.push(0xc6);
    bytes.extend_from_slice(&video.data[128..]);
    assert_eq!(read(&bytes, 50).unwrap(), [audio, video]);
}

#[test]
fn liars_are_found_out() {
    let too_long = RTMP_MESSAGE_BYTES + 1;
    let [_, a, b, c] = (too_long as u32).to_be_bytes();
    let begun = |id: u16| {
        let [low, high] = (id).to_le_bytes();
        let mut bytes = vec![1, low, high, 0, 0, 0, 0, 4, 0, 9, 1, 0, 0, 0];
        bytes.extend_from_slice(&[0; 128]);
        bytes
    };
    let many: Vec<u8> = (0..=RTMP_CHUNK_STREAMS as u16).flat_map(begun).collect();
    let mut much = set_chunk_size(6 << 20);
    for id in 3..5 {
        much.extend([id, 0, 0, 0, 0x7f, 0, 0, 9, 1, 0, 0, 0]);
        much.resize(much.len() + (6 << 20), 0);
    }
    for (bytes, error) in [
        (vec![0xc3], ChunkError::NoHeader),
        (vec![3, 0, 0, 0, a, b, c, 9, 1, 0, 0, 0], ChunkError::TooLong(too_long)),
        (set_chunk_size(1), ChunkError::ChunkSize(1)),
        (set_chunk_size(0x8000_0000), ChunkError::ChunkSize(0x8000_0000)),
        (many, ChunkError::TooManyStreams),
        (much, ChunkError::TooMuch),
    ] {
        assert_eq!(read(&bytes, 1 << 20), Err(error));
    }
}

proptest! {
    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000), piece in 1_usize..200) {
        let _ = read(&bytes, piece);
    }
}

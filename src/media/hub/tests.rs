//! The hub under threads and under tokio.

use std::time::Duration;

use bytes::Bytes;

use super::{Busy, Hub, Received, Subscriber};
use crate::limits::SINK_QUEUE;
use crate::media::flv::{FlvTag, TagClass, TagKind};
use crate::media::pushed::byte_source;
use crate::worker::{self, StopToken};

const NAME: &str = "live/a";
const LONG: Duration = Duration::from_secs(10);

fn tag(class: TagClass, timestamp_ms: u32) -> FlvTag {
    let (kind, body): (_, &'static [u8]) = match class {
        TagClass::VideoHeader => (TagKind::Video, b"\x17\0\0\0\0"),
        TagClass::Keyframe => (TagKind::Video, b"\x17\x01\0\0\0"),
        TagClass::Inter => (TagKind::Video, b"\x27\x01\0\0\0"),
        TagClass::AudioHeader => (TagKind::Audio, b"\xaf\0"),
        TagClass::Audio => (TagKind::Audio, b"\xaf\x01"),
        TagClass::Metadata | TagClass::Other => (TagKind::Script, b"\x02"),
    };
    let tag = FlvTag::new(kind, timestamp_ms, Bytes::from_static(body));
    assert_eq!(tag.class, class);
    tag
}

/// What is there at once.
fn drain(subscriber: &Subscriber) -> Vec<(TagClass, u32)> {
    let stop = StopToken::new();
    std::iter::from_fn(|| match subscriber.recv(&stop, Duration::ZERO) {
        Received::Tag(tag) => Some((tag.class, tag.timestamp_ms)),
        Received::Ended | Received::Timeout => None,
    })
    .collect()
}

#[test]
fn a_late_joiner_gets_headers_and_the_current_group_at_once() {
    use TagClass::{Audio, AudioHeader, Inter, Keyframe, Metadata, VideoHeader};
    let hub = Hub::new();
    assert!(hub.subscribe(NAME).is_none());
    let publisher = hub.publish(NAME).unwrap();
    assert_eq!(hub.publish(NAME).unwrap_err(), Busy::Taken);
    let early = hub.subscribe(NAME).unwrap();
    for (class, ms) in [
        (Metadata, 0),
        (VideoHeader, 0),
        (AudioHeader, 0),
        (Inter, 5),
        (Keyframe, 10),
        (Audio, 20),
        (Keyframe, 30),
        (Audio, 35),
        (Inter, 40),
    ] {
        publisher.send(tag(class, ms));
    }
    let late = hub.subscribe(NAME).unwrap();
    assert_eq!((hub.viewers(NAME), hub.demanded(NAME)), (2, true));
    let headers = [(Metadata, 0), (VideoHeader, 0), (AudioHeader, 0)];
    let group = [(Keyframe, 30), (Audio, 35), (Inter, 40)];
    assert_eq!(drain(&late), [&headers[..], &group].concat());
    assert_eq!(drain(&early), [&headers[..], &[(Keyframe, 10), (Audio, 20)], &group].concat());
    drop(publisher);
    assert!(matches!(late.recv(&StopToken::new(), LONG), Received::Ended));
    assert_eq!((hub.streams(), hub.demanded(NAME)), (vec![], false));
    drop((early, late));
    hub.publish(NAME).unwrap();
}

#[test]
fn a_wedged_player_loses_tags_and_the_other_none() {
    let hub = Hub::new();
    let publisher = hub.publish(NAME).unwrap();
    publisher.send(tag(TagClass::VideoHeader, 0));
    let (wedged, reader) = (hub.subscribe(NAME).unwrap(), hub.subscribe(NAME).unwrap());
    let total = 3 * SINK_QUEUE as u32;
    let mut read = drain(&reader).len();
    for ms in 0..total {
        let class = if ms % 50 == 0 { TagClass::Keyframe } else { TagClass::Inter };
        publisher.send(tag(class, ms));
        read += drain(&reader).len();
    }
    assert_eq!((read as u32, reader.dropped()), (total + 1, 0));
    // The header that it began with has a place of its own.
    assert_eq!(wedged.dropped(), u64::from(total) - SINK_QUEUE as u64);
    // When it wakes up it has what was queued, then goes on at a keyframe with the headers in front.
    assert_eq!(drain(&wedged).len(), SINK_QUEUE + 1);
    publisher.send(tag(TagClass::Inter, total));
    publisher.send(tag(TagClass::Keyframe, total + 1));
    assert_eq!(drain(&wedged), [(TagClass::VideoHeader, 0), (TagClass::Keyframe, total + 1)]);
}

#[test]
fn sound_alone_flows_and_resumes() {
    let hub = Hub::new();
    let publisher = hub.publish(NAME).unwrap();
    let player = hub.subscribe(NAME).unwrap();
    (0..2 * SINK_QUEUE as u32).for_each(|ms| publisher.send(tag(TagClass::Audio, ms)));
    assert_eq!(drain(&player).len(), SINK_QUEUE);
    publisher.send(tag(TagClass::Audio, 1));
    assert_eq!(drain(&player), [(TagClass::Audio, 1)]);
}

#[test]
fn a_thread_waits_for_a_publisher_and_reads_flv_to_the_end() {
    let hub = Hub::new();
    let waiting = hub.clone();
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let reader = worker::spawn("reads", StopToken::new(), move |stop| {
        let subscriber = waiting.subscribe_wait_blocking(NAME, &stop, LONG).unwrap();
        let mut read = byte_source(subscriber, &stop).read;
        let (mut bytes, mut buffer) = (Vec::new(), [0; 7]);
        loop {
            match read(&mut buffer, &stop).unwrap() {
                0 => break,
                count => bytes.extend_from_slice(&buffer[..count]),
            }
        }
        sender.send(bytes).unwrap();
    })
    .unwrap();
    crate::media::encode::testing::await_true("demand", || hub.demanded(NAME));
    let publisher = hub.publish(NAME).unwrap();
    crate::media::encode::testing::await_true("a viewer", || hub.viewers(NAME) == 1);
    publisher.send(tag(TagClass::Keyframe, 7));
    drop(publisher);
    let bytes = receiver.recv_timeout(LONG).unwrap();
    assert_eq!(bytes.len(), 13 + 11 + 5 + 4);
    assert_eq!(&bytes[..13], b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
    assert_eq!(reader.join(), worker::Outcome::Returned);
    assert!(!hub.demanded(NAME));
}

#[tokio::test]
async fn a_task_waits_for_a_publisher_and_plays_to_the_end() {
    let hub = Hub::new();
    assert!(hub.subscribe_wait(NAME, Duration::from_millis(1)).await.is_none());
    assert!(!hub.demanded(NAME));
    let waiting = hub.clone();
    let player = tokio::spawn(async move {
        let subscriber = waiting.subscribe_wait(NAME, LONG).await.unwrap();
        let mut tags = 0;
        while subscriber.next().await.is_some() {
            tags += 1;
        }
        tags
    });
    while !hub.demanded(NAME) {
        tokio::task::yield_now().await;
    }
    let publisher = hub.publish(NAME).unwrap();
    while hub.viewers(NAME) == 0 {
        tokio::task::yield_now().await;
    }
    for ms in 0..10 {
        publisher.send(tag(TagClass::Audio, ms));
        tokio::task::yield_now().await;
    }
    drop(publisher);
    assert_eq!(player.await.unwrap(), 10);
}

#[test]
fn a_name_is_taken_over_whole() {
    let hub = Hub::new();
    let first = hub.publish(NAME).unwrap();
    first.send(tag(TagClass::Keyframe, 0));
    let early = hub.subscribe(NAME).unwrap();
    let second = hub.take_over(NAME).unwrap();
    second.send(tag(TagClass::Keyframe, 100));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let told = async { tokio::time::timeout(Duration::from_secs(10), first.replaced()).await };
    runtime.block_on(told).unwrap();
    // What the first one still sends, and its end, touch nobody.
    first.send(tag(TagClass::Keyframe, 50));
    assert_eq!(drain(&early), [(TagClass::Keyframe, 0)]);
    assert!(matches!(early.recv(&StopToken::new(), Duration::ZERO), Received::Ended));
    drop(first);
    let late = hub.subscribe(NAME).unwrap();
    assert_eq!(drain(&late), [(TagClass::Keyframe, 100)]);
    assert_eq!(hub.publish(NAME).unwrap_err(), Busy::Taken);
    drop(second);
    assert!(!hub.is_live(NAME));
    // Where nobody is, there is nobody to replace.
    let third = hub.take_over(NAME).unwrap();
    assert_eq!(third.name(), NAME);
}

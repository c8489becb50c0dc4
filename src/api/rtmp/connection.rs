//! One RTMP connection, from handshake to end.
//!
//! Owns its session and its one role: publisher or player. Must not know other connections. Invariants: nothing a peer sends is
//! parsed before its size and depth are checked; no wait is without a limit but that of a player for the next tag.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rml_rtmp::chunk_io::ChunkSerializer;
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::messages::MessagePayload;
use rml_rtmp::sessions::{
    ServerSession, ServerSessionConfig, ServerSessionEvent, ServerSessionResult,
};
use rml_rtmp::time::RtmpTimestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::amf::{self, BadAmf};
use super::chunks::{self, ChunkError, Message};
use crate::api::access::{Access, Gate, is_name, split_query};
use crate::api::addresses::PLAYBACK_APP;
use crate::config::SecondPublisher;
use crate::limits::{
    PLAYER_WAIT, PLAYER_WRITE_TIMEOUT, RTMP_CHUNK_BYTES, RTMP_COMMAND_BYTES,
    RTMP_HANDSHAKE_TIMEOUT, RTMP_IDLE_TIMEOUT, RTMP_READ_BYTES,
};
use crate::media::flv::{FlvTag, TagKind};
use crate::media::hub::{Hub, Publisher, Subscriber};

// Message types.
const ACKNOWLEDGEMENT: u8 = 3;
const USER_CONTROL: u8 = 4;
const WINDOW_SIZE: u8 = 5;
const AUDIO: u8 = 8;
const VIDEO: u8 = 9;
const DATA_AMF3: u8 = 15;
const COMMAND_AMF3: u8 = 17;
const DATA: u8 = 18;
const COMMAND: u8 = 20;

// Chunk streams that this side writes on, beside those of the session (2–6).
const ON_CONTROL: u8 = 7;
const ON_AUDIO: u8 = 8;
const ON_VIDEO: u8 = 9;

/// Why a connection was closed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Closed {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("not RTMP: {0}")]
    Handshake(rml_rtmp::handshake::HandshakeError),
    #[error("bad RTMP: {0}")]
    Chunks(#[from] ChunkError),
    #[error("bad RTMP: {0}")]
    Amf(#[from] BadAmf),
    #[error("bad RTMP: {0}")]
    Session(#[from] rml_rtmp::sessions::ServerSessionError),
    #[error("bad RTMP: {0}")]
    Serializer(#[from] rml_rtmp::chunk_io::ChunkSerializationError),
    #[error("{0} within {1:?}")]
    TooSlow(&'static str, Duration),
    #[error("{0} refused: {1}")]
    Refused(String, &'static str),
}

enum Role {
    None,
    Publisher { publisher: Publisher, stream_id: u32 },
    Player { subscriber: Subscriber, stream_id: u32, name: String },
}

struct Connection {
    hub: Hub,
    gate: Gate,
    second: SecondPublisher,
    session: ServerSession,
    to_session: ChunkSerializer,
    chunks: chunks::Reader,
    role: Role,
    connected: bool,
    /// Bytes to be written.
    out: Vec<u8>,
    received: u64,
    acknowledged: u64,
    ack_window: u64,
}

/// Serves a connection until its end.
pub(super) async fn run(
    mut socket: TcpStream,
    hub: Hub,
    gate: Gate,
    second: SecondPublisher,
) -> Result<(), Closed> {
    socket.set_nodelay(true)?;
    let shake = timeout(RTMP_HANDSHAKE_TIMEOUT, handshake(&mut socket));
    let too_slow = |_elapsed| Closed::TooSlow("no handshake", RTMP_HANDSHAKE_TIMEOUT);
    let early = shake.await.map_err(too_slow)??;
    let mut config = ServerSessionConfig::new();
    config.chunk_size = RTMP_CHUNK_BYTES;
    let (session, greeting) = ServerSession::new(config)?;
    let mut connection = Connection {
        hub,
        gate,
        second,
        session,
        to_session: ChunkSerializer::new(),
        chunks: chunks::Reader::new(),
        role: Role::None,
        connected: false,
        out: Vec::new(),
        received: 0,
        acknowledged: 0,
        ack_window: u64::MAX,
    };
    connection.carry_out(greeting, 0).await?;
    let ended = match connection.on_bytes(&early).await {
        Ok(()) => connection.talk(&mut socket).await,
        Err(closed) => Err(closed),
    };
    // What explains the end to the peer, if it still listens.
    let _ = flush(&mut socket, &mut connection.out).await;
    ended
}

/// Shakes hands; returns the bytes that came after.
async fn handshake(socket: &mut TcpStream) -> Result<Vec<u8>, Closed> {
    let mut handshake = Handshake::new(PeerType::Server);
    let mut buffer = [0; 4096];
    loop {
        let count = socket.read(&mut buffer).await?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match handshake.process_bytes(&buffer[..count]).map_err(Closed::Handshake)? {
            HandshakeProcessResult::InProgress { response_bytes } => {
                socket.write_all(&response_bytes).await?;
            }
            HandshakeProcessResult::Completed { response_bytes, remaining_bytes } => {
                socket.write_all(&response_bytes).await?;
                return Ok(remaining_bytes);
            }
        }
    }
}

async fn flush(socket: &mut TcpStream, out: &mut Vec<u8>) -> Result<(), Closed> {
    if !out.is_empty() {
        let written = timeout(PLAYER_WRITE_TIMEOUT, socket.write_all(out)).await;
        out.clear();
        written.map_err(|_elapsed| Closed::TooSlow("no byte taken", PLAYER_WRITE_TIMEOUT))??;
    }
    Ok(())
}

/// What a connection waits for.
enum Step {
    Read(io::Result<usize>),
    Tag(Option<FlvTag>),
    Replaced(String),
}

/// What the hub has next: for a player a tag, for a publisher another one in its place.
async fn next_of(role: &Role) -> Step {
    match role {
        Role::Player { subscriber, .. } => Step::Tag(subscriber.next().await),
        Role::Publisher { publisher, .. } => {
            publisher.replaced().await;
            Step::Replaced(publisher.name().to_owned())
        }
        Role::None => std::future::pending().await,
    }
}

impl Connection {
    async fn talk(&mut self, socket: &mut TcpStream) -> Result<(), Closed> {
        let mut buffer = BytesMut::with_capacity(RTMP_READ_BYTES);
        loop {
            flush(socket, &mut self.out).await?;
            let (limit, what) = match self.role {
                Role::Player { .. } => (Duration::MAX, ""),
                _ if self.connected => (RTMP_IDLE_TIMEOUT, "no byte"),
                _ => (RTMP_HANDSHAKE_TIMEOUT, "no connect command"),
            };
            let step = timeout(limit, async {
                tokio::select! {
                    count = socket.read_buf(&mut buffer) => Step::Read(count),
                    next = next_of(&self.role) => next,
                }
            });
            match step.await.map_err(|_elapsed| Closed::TooSlow(what, limit))? {
                Step::Read(Ok(0)) => return Ok(()),
                Step::Read(read) => {
                    read?;
                    self.on_bytes(&buffer).await?;
                    buffer.clear();
                }
                Step::Tag(Some(tag)) => self.play(&tag),
                Step::Tag(None) => {
                    self.say_ended();
                    return Ok(());
                }
                Step::Replaced(name) => return Err(Closed::Refused(name, "taken over")),
            }
        }
    }

    async fn on_bytes(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        self.received += bytes.len() as u64;
        self.chunks.extend(bytes);
        while let Some(message) = self.chunks.next()? {
            self.on_message(message).await?;
        }
        if self.received - self.acknowledged >= self.ack_window {
            self.acknowledged = self.received;
            let total = (self.received & 0xffff_ffff) as u32;
            self.say(ACKNOWLEDGEMENT, 0, total.to_be_bytes().to_vec());
        }
        Ok(())
    }

    async fn on_message(&mut self, message: Message) -> Result<(), Closed> {
        match message.kind {
            AUDIO => self.publish(TagKind::Audio, message),
            VIDEO => self.publish(TagKind::Video, message),
            DATA | DATA_AMF3 => {
                let skipped = usize::from(message.kind == DATA_AMF3);
                let body = amf::script_body(message.data.get(skipped..).unwrap_or_default());
                if body.len() <= RTMP_COMMAND_BYTES && amf::check(body).is_ok() {
                    let data = message.data.slice_ref(body);
                    self.publish(TagKind::Script, Message { data, ..message });
                }
            }
            WINDOW_SIZE => {
                let window = message.data.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
                // Half of it, so that a peer that waits for the word is never kept waiting.
                self.ack_window = window.map_or(u64::MAX, |window| u64::from(window / 2).max(1));
            }
            COMMAND | COMMAND_AMF3 => {
                if message.data.len() > RTMP_COMMAND_BYTES {
                    return Err(ChunkError::TooLong(message.data.len()).into());
                }
                // An AMF3 command is AMF0 behind a zero byte.
                let amf3 = message.kind == COMMAND_AMF3 && message.data.first() == Some(&0);
                let data = message.data.slice(usize::from(amf3)..);
                amf::check(&data)?;
                self.ask_session(COMMAND, message.stream_id, data).await?;
            }
            USER_CONTROL if message.data.len() <= 16 => {
                self.ask_session(USER_CONTROL, message.stream_id, message.data).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Hands a message that was found harmless to the session, in the plainest of chunks.
    async fn ask_session(&mut self, kind: u8, stream_id: u32, data: Bytes) -> Result<(), Closed> {
        let timestamp = RtmpTimestamp::new(0);
        let payload =
            MessagePayload { timestamp, type_id: kind, message_stream_id: stream_id, data };
        let packet = self.to_session.serialize(&payload, true, false)?;
        let results = self.session.handle_input(&packet.bytes)?;
        self.carry_out(results, stream_id).await
    }

    async fn carry_out(
        &mut self,
        results: Vec<ServerSessionResult>,
        stream_id: u32,
    ) -> Result<(), Closed> {
        for result in results {
            match result {
                ServerSessionResult::OutboundResponse(packet) => self.out.extend(packet.bytes),
                ServerSessionResult::RaisedEvent(event) => self.on_event(event, stream_id).await?,
                ServerSessionResult::UnhandleableMessageReceived(_) => {}
            }
        }
        Ok(())
    }

    /// Accepts what the session asked about and keeps its answer.
    fn accept(&mut self, request_id: u32) -> Result<(), Closed> {
        for result in self.session.accept_request(request_id)? {
            if let ServerSessionResult::OutboundResponse(packet) = result {
                self.out.extend(packet.bytes);
            }
        }
        Ok(())
    }

    async fn on_event(&mut self, event: ServerSessionEvent, on: u32) -> Result<(), Closed> {
        match event {
            ServerSessionEvent::ConnectionRequested { request_id, .. } => {
                self.connected = true;
                self.accept(request_id)
            }
            ServerSessionEvent::PublishStreamRequested {
                request_id, app_name, stream_key, ..
            } => self.on_publish(request_id, on, &StreamName::read(&app_name, &stream_key)),
            ServerSessionEvent::PlayStreamRequested {
                request_id,
                app_name,
                stream_key,
                stream_id,
                ..
            } => {
                let name = StreamName::read(&app_name, &stream_key);
                self.on_play(request_id, stream_id, &name).await
            }
            ServerSessionEvent::PublishStreamFinished { .. }
            | ServerSessionEvent::PlayStreamFinished { .. } => {
                self.role = Role::None;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn on_publish(&mut self, request: u32, on: u32, name: &StreamName) -> Result<(), Closed> {
        let allowed = name.is_valid()
            && name.app != PLAYBACK_APP
            && self.gate.allows(Access::Publish, &name.path(), name.auth_key.as_deref());
        if !allowed {
            return self.refuse(on, name, ("NetStream.Publish.Denied", "not allowed"));
        }
        if !matches!(self.role, Role::None) {
            return self.refuse(on, name, ("NetStream.Publish.BadName", "one role a connection"));
        }
        let begun = match self.second {
            SecondPublisher::Refuse => self.hub.publish(&name.hub_name()),
            SecondPublisher::TakeOver => self.hub.take_over(&name.hub_name()),
        };
        let Ok(publisher) = begun else {
            let taken = "this stream name is already being published";
            return self.refuse(on, name, ("NetStream.Publish.BadName", taken));
        };
        self.accept(request)?;
        tracing::info!(stream = publisher.name(), "publisher on air");
        self.role = Role::Publisher { publisher, stream_id: on };
        Ok(())
    }

    async fn on_play(&mut self, request: u32, on: u32, name: &StreamName) -> Result<(), Closed> {
        let allowed = name.is_valid()
            && self.gate.allows(Access::Play, &name.path(), name.auth_key.as_deref());
        if !allowed {
            return self.refuse(on, name, ("NetStream.Play.Failed", "not allowed"));
        }
        if !matches!(self.role, Role::None) {
            return self.refuse(on, name, ("NetStream.Play.Failed", "one role a connection"));
        }
        let Some(subscriber) = self.hub.subscribe_wait(&name.hub_name(), PLAYER_WAIT).await else {
            return self.refuse(on, name, ("NetStream.Play.StreamNotFound", "no such stream"));
        };
        self.accept(request)?;
        self.role = Role::Player { subscriber, stream_id: on, name: name.hub_name() };
        Ok(())
    }

    /// Tells the peer why, and ends the connection.
    fn refuse(
        &mut self,
        stream_id: u32,
        name: &StreamName,
        (code, why): (&str, &'static str),
    ) -> Result<(), Closed> {
        self.say(COMMAND, stream_id, amf::on_status("error", code, why));
        Err(Closed::Refused(name.hub_name(), why))
    }

    fn say(&mut self, kind: u8, stream_id: u32, data: Vec<u8>) {
        let message = Message { kind, timestamp_ms: 0, stream_id, data: data.into() };
        chunks::write(&mut self.out, ON_CONTROL, &message);
    }

    /// A pushed tag on its way to the hub; ignored when it is on no published stream.
    fn publish(&mut self, kind: TagKind, message: Message) {
        if let Role::Publisher { publisher, stream_id } = &self.role
            && *stream_id == message.stream_id
        {
            publisher.send(FlvTag::new(kind, message.timestamp_ms, message.data));
        }
    }

    /// A tag on its way to a player.
    fn play(&mut self, tag: &FlvTag) {
        let Role::Player { stream_id, .. } = &self.role else { return };
        let on = match tag.kind {
            TagKind::Audio => ON_AUDIO,
            TagKind::Video => ON_VIDEO,
            TagKind::Script => ON_CONTROL,
        };
        let message = Message {
            kind: tag.kind as u8,
            timestamp_ms: tag.timestamp_ms,
            stream_id: *stream_id,
            data: tag.body.clone(),
        };
        chunks::write(&mut self.out, on, &message);
    }

    fn say_ended(&mut self) {
        const STREAM_EOF: [u8; 2] = [0, 1];
        let Role::Player { stream_id, name, .. } = &self.role else { return };
        let (stream_id, why) = (*stream_id, format!("{name} has ended"));
        let ended = amf::on_status("status", "NetStream.Play.UnpublishNotify", &why);
        self.say(COMMAND, stream_id, ended);
        self.say(USER_CONTROL, 0, [&STREAM_EOF[..], &stream_id.to_be_bytes()].concat());
        let stop = amf::on_status("status", "NetStream.Play.Stop", &why);
        self.say(COMMAND, stream_id, stop);
    }
}

/// What a client asked for, taken apart.
struct StreamName {
    app: String,
    name: String,
    auth_key: Option<String>,
}

impl StreamName {
    /// Some clients put the query behind the application, some behind the name.
    fn read(app: &str, name: &str) -> StreamName {
        let (app, app_key) = split_query(app);
        let (name, name_key) = split_query(name);
        StreamName { app: app.into(), name: name.into(), auth_key: name_key.or(app_key) }
    }

    fn is_valid(&self) -> bool {
        is_name(&self.app) && is_name(&self.name)
    }

    fn hub_name(&self) -> String {
        format!("{}/{}", self.app, self.name)
    }

    fn path(&self) -> String {
        format!("/{}", self.hub_name())
    }
}

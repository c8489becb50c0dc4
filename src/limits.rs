//! Every limit of the system, by name. What happens at a limit is said where it is used, and counted.
//!
//! Must not hold anything that is not a number with a unit. Invariant: no queue, list, retry or body elsewhere
//! is bounded by a bare literal.

use std::time::Duration;

// By path, since a bench takes this file in by its path.
#[path = "limits/recordings.rs"]
mod recordings;
#[path = "limits/supervision.rs"]
mod supervision;

pub use recordings::*;
pub use supervision::*;

// --- catalog ---------------------------------------------------------------------------------------------

/// Casters that one process knows, on air or not.
pub const MAX_CASTERS: usize = 20_000;
/// Tags of one caster.
pub const MAX_TAGS: usize = 20;
/// Video resources of one caster.
pub const MAX_RESOURCES: usize = 99;
/// Layouts of one caster.
pub const MAX_LAYOUTS: usize = 1000;
/// Components of one caster.
pub const MAX_COMPONENTS: usize = 99;
/// Layers of one layout.
pub const MAX_LAYERS: usize = 32;
/// Largest part of a picture's width or height that can be cut off.
pub const MAX_CROP: f32 = 0.99;
/// Largest radius of a layer's corners / output height.
pub const MAX_CORNER_RADIUS: f32 = 0.5;
/// Largest width of a layer's border / output height.
pub const MAX_BORDER_WIDTH: f32 = 0.5;
/// Largest padding of a box behind a text / font height.
pub const MAX_TEXT_PADDING: f32 = 4.0;
/// Layouts of one caster with an image behind their sources.
pub const MAX_BACKDROP_IMAGES: usize = 99;
/// Sources of one audio mix.
pub const MAX_MIX: usize = 32;
/// Components shown in one scene.
pub const MAX_SCENE_COMPONENTS: usize = 16;
/// Characters of a text component.
pub const MAX_TEXT_CHARS: usize = 1024;
/// Bytes of a name.
pub const MAX_NAME_BYTES: usize = 256;
/// Bytes of a URL.
pub const MAX_URL_BYTES: usize = 4096;
/// Bytes of a client token.
pub const MAX_CLIENT_TOKEN_BYTES: usize = 64;
/// Largest gain of a source, ×.
pub const MAX_GAIN: f32 = 10.0;
/// Largest constant delay of a layer, ms.
pub const MAX_FIXED_DELAY_MS: u32 = 5000;
/// Relays of one caster.
pub const MAX_RELAYS: usize = 20;
/// Longest output delay, s.
pub const MAX_DELAY_S: f32 = 300.0;
/// Shortest and longest interruption after which standby is shown by itself, s.
pub const AUTO_STANDBY_S: (f32, f32) = (0.1, 60.0);
/// Shortest and longest time that PGM's sources must have been good before standby goes by itself, s.
pub const AUTO_RETURN_S: (f32, f32) = (0.1, 600.0);
/// Shortest and longest time after which something counts as a fault of a source, s. The shortest is AWS MediaLive's.
pub const DETECTOR_S: (f32, f32) = (0.1, 3600.0);
/// Least time between callbacks that tell how far a file is, ms: positions are known five times a second. A shorter
/// interval counts as this.
pub const MIN_PTS_CALLBACK_MS: u32 = 1000;
/// Longest time between callbacks that tell how far a file is, ms.
pub const MAX_PTS_CALLBACK_MS: u32 = 3_600_000;
/// Longest recorded file, s.
pub const MAX_RECORD_CYCLE_S: u32 = 21_600;
/// Groups of sources on one clock in a caster.
pub const MAX_SYNC_GROUPS: usize = 16;
/// Channels of a caster: RV01 to RV12.
pub const MAX_CHANNELS: u8 = 12;
/// Time between two times that the positions of files are kept.
pub const POSITIONS_EVERY: Duration = Duration::from_secs(1);
/// How long before an episode its file is opened, and how long after it the file is kept.
pub const EPISODE_LEAD: Duration = Duration::from_secs(10);
/// Episodes of a rundown.
pub const MAX_EPISODES: usize = 1000;
/// Episode groups of a server.
pub const MAX_EPISODE_GROUPS: usize = 100;
/// Files of an episode group.
pub const MAX_GROUP_ITEMS: usize = 1000;
/// Largest font size, px.
pub const MAX_FONT_PX: u32 = 1024;
/// Largest text border, px.
pub const MAX_TEXT_BORDER_PX: u32 = 16;
/// Casters of one page of a list.
pub const MAX_PAGE_SIZE: usize = 100;
/// Least video bit rate that can be asked for, bit/s.
pub const MIN_VIDEO_BPS: u32 = 100_000;
/// Largest video bit rate that can be asked for, bit/s.
pub const MAX_VIDEO_BPS: u32 = 100_000_000;

// --- API -------------------------------------------------------------------------------------------------

/// Calls of all edges waiting for the app; more wait at their edge.
pub const CONTROL_QUEUE: usize = 256;
/// Bytes of one gRPC request; larger ones are refused.
pub const GRPC_MESSAGE_BYTES: usize = 1 << 20;
/// Calls at once on one gRPC connection; more wait.
pub const GRPC_CALLS_PER_CONNECTION: usize = 64;
/// Longest a gRPC server waits for its calls when it is told to stop.
pub const GRPC_DRAIN: Duration = Duration::from_secs(2);
/// Longest interval between two states of a watched caster that a client may ask for, ms.
pub const WATCH_INTERVAL_MAX_MS: u32 = 60_000;
/// Access keys kept, revoked ones counted too; more are not made.
pub const MAX_ACCESS_KEYS: usize = 1000;
/// Time between looks at whether the file of access keys has changed.
pub const KEYS_REFRESH: Duration = Duration::from_millis(500);
/// Connections at once to the gRPC API; more are closed at once.
pub const GRPC_CONNECTIONS: usize = 128;
/// The same to the HTTP server.
pub const HTTP_CONNECTIONS: usize = 512;
/// Time for a TLS handshake.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the head of an HTTP request, from the end of the answer before it on.
pub const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of the head of a request to the HTTP server: some of the API's parameters come in the query.
pub const HTTP_HEAD_BYTES: usize = 64 << 10;
/// Connections that are through the door and not yet served.
pub const ACCEPT_QUEUE: usize = 16;
/// How long an address that the API hands out lets new connections in.
pub const STREAM_URL_VALID: Duration = Duration::from_secs(24 * 3600);
/// How long a token for a caster's event stream is valid.
pub const WATCH_TOKEN_VALID: Duration = Duration::from_secs(3600);

/// Bytes of the body of one request of the cloud API; larger ones are refused.
pub const API_BODY_BYTES: usize = 1 << 20;
/// Longest a request of the cloud API may take to arrive.
pub const API_BODY_WAIT: Duration = Duration::from_secs(10);
/// Writes and reads waiting for the thread of the store; more wait where they come from.
pub const STORE_QUEUE: usize = 1024;
/// Writes that share one transaction; more go into the next.
pub const STORE_BATCH: usize = 256;
/// Events of one caster (or episode group) on their way to its receiver. Full: the oldest is dropped and counted.
pub const OUTBOX_PER_OWNER: usize = 1000;
/// Events of one caster kept for those who follow it, and for whoever comes back. Full: the oldest goes, and who has not
/// been told of it learns that events were missed.
pub const FEED_EVENTS: usize = 128;
/// Casters whose events are kept for followers. Full: a feed that nobody follows goes; when all are followed, more are
/// refused.
pub const FEEDS: usize = 1024;
/// Characters of an event's message; more are cut off.
pub const EVENT_MESSAGE_CHARS: usize = 1024;
/// Time between signs of life on a stream of events.
pub const EVENT_HEARTBEAT: Duration = Duration::from_secs(15);
/// Time for one attempt to post an event, from the look-up of the name to the head of the answer.
pub const CALLBACK_TIMEOUT: Duration = Duration::from_secs(10);
/// Receivers that are posted to at once; more wait for their turn.
pub const CALLBACK_RECEIVERS: usize = 16;
/// Events that one receiver is posted in a row before others have their turn.
pub const CALLBACK_ROUND: usize = 64;
/// First wait before an event is posted again; it doubles with each attempt.
pub const CALLBACK_RETRY_FIRST: Duration = Duration::from_secs(1);
/// Longest wait before an event is posted again.
pub const CALLBACK_RETRY_MAX: Duration = Duration::from_secs(300);
/// Age at which an event that no attempt could deliver is dropped and counted.
pub const CALLBACK_GIVE_UP: Duration = Duration::from_secs(24 * 3600);
/// Locks that calls which make a caster share, by their `ClientToken`; as many are carried out at once.
pub const CREATING_LANES: usize = 64;

/// Parameters of one request of the cloud API, and values of one JSON parameter; more are refused.
pub const API_PARAMS: usize = 4096;
/// How far the clock of a client of the cloud API may be off.
pub const API_CLOCK_SKEW: Duration = Duration::from_secs(15 * 60);
/// Nonces remembered of one access key, 1165 a second; past it its requests are refused.
pub const API_NONCES_PER_KEY: usize = 1 << 20;

// --- pictures --------------------------------------------------------------------------------------------

/// Bytes of an encoded image.
pub const MAX_IMAGE_BYTES: u64 = 10 << 20;
/// Pixels of a decoded image, checked before it is decoded: 4096 × 4096.
pub const MAX_IMAGE_PIXELS: u64 = 4096 * 4096;
/// Frames of an image that moves; more are refused.
pub const MAX_ANIMATION_FRAMES: usize = 1000;
/// Pixels of all its frames together: 128 MiB.
pub const MAX_ANIMATION_PIXELS: u64 = 32 << 20;
/// Pixels of a decoded video frame: 4096 × 4096.
pub const MAX_VIDEO_PIXELS: u64 = 4096 * 4096;
/// How many times as long as wide, or as wide as long, a pixel of a source may be; what says more is not believed.
pub const MAX_PIXEL_ASPECT: u32 = 16;
/// Longest wait for the graphics device; past it the device counts as failed.
pub const GPU_WAIT: Duration = Duration::from_secs(5);
/// Draws that a source's textures are kept without being shown.
pub const SOURCE_IDLE_DRAWS: u64 = 300;
/// Overlays kept rasterised by one compositor. Full: the one unused for longest is dropped.
pub const OVERLAY_CACHE: usize = 64;
/// Draws that an overlay is kept rasterised without being shown.
pub const OVERLAY_IDLE_DRAWS: u64 = 1800;
/// Pixels of a rasterised text: 64 MiB. What would take more is painted smaller.
pub const MAX_TEXT_PIXELS: u32 = 16 << 20;
/// Longest side of a texture of an overlay, px; longer overlays are several textures side by side.
pub const OVERLAY_TEXTURE_PX: u32 = 4096;

// --- inputs ----------------------------------------------------------------------------------------------

/// Time to connect and learn what the streams are.
pub const INPUT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time without a packet after which a connected live source is given up and connected again.
pub const INPUT_READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Time without a picture after which a live source is Stale.
pub const INPUT_STALE_AFTER: Duration = Duration::from_millis(1500);
/// Time without a connection and a picture after which a live source is told of as lost: AWS MediaLive's usual trigger.
pub const LOST_AFTER: Duration = Duration::from_millis(1000);
/// The same for a picture that does not change: a camera on a tripod is still for a while.
pub const FROZEN_AFTER: Duration = Duration::from_secs(10);
/// The same for a picture that is black: scenes fade through black.
pub const BLACK_AFTER: Duration = Duration::from_secs(3);
/// The same for silence: people pause.
pub const SILENT_AFTER: Duration = Duration::from_secs(10);
/// Root of the mean square of a tick's samples below which it is silent: the −50 dBFS of AWS MediaLive.
pub const SILENT_LEVEL: f32 = 0.003_162;
/// Time without a new picture after which a live source is not good: what the shortest interruption that brings standby takes.
pub const SOURCE_GAP: Duration = Duration::from_millis(100);
/// First wait before connecting again.
pub const RETRY_FIRST: Duration = Duration::from_millis(250);
/// Longest wait before connecting again.
pub const RETRY_MAX: Duration = Duration::from_secs(10);
/// Attempts without one picture after which a source reports Failed (it goes on trying at [`RETRY_MAX`]); a relay likewise.
pub const RETRY_FAILED_AFTER: u32 = 5;
/// Decoded video frames between a live input's thread and the frame thread; the oldest is dropped and counted.
pub const INPUT_VIDEO_QUEUE: usize = 8;
/// The same of a file, which waits.
pub const FILE_VIDEO_QUEUE: usize = 3;
/// Decoded audio blocks between an input's thread and the frame thread. Live: the oldest is dropped. File: it waits.
pub const INPUT_AUDIO_QUEUE: usize = 64;
/// Bytes of packets read ahead of the decoders of one file, to bridge bad interleaving.
pub const INPUT_PACKET_BYTES: usize = 32 << 20;
/// Packets read ahead of the decoders of one file.
pub const INPUT_PACKETS: usize = 4096;
/// Events (states, notices) of one input that wait for the frame thread. Full: the oldest is dropped.
pub const INPUT_EVENTS: usize = 64;
/// Sizes that one input's pictures are scaled to ahead; more are scaled where they are drawn.
pub const MAX_PRESCALED_SIZES: usize = 8;
/// Audio that may go on after the last picture of a looped file and is cut off; if it goes on for longer, the
/// last picture waits for it.
pub const LOOP_AUDIO_TAIL: Duration = Duration::from_millis(500);
/// Time without a key frame after which a source is told to send some.
pub const INPUT_KEYFRAME_NOTICE: Duration = Duration::from_secs(5);
/// Wait before asking again for a pushed stream that nobody publishes.
pub const PUSHED_RETRY: Duration = Duration::from_millis(100);
/// Wait for the first video of a pushed stream, which says how it is read; a stream that has none is later by this.
pub const PUSHED_VIDEO_WAIT: Duration = Duration::from_millis(500);
/// Connections at once of one HTTP source (a playlist, its segments, keys); more are refused.
pub const SOURCE_CONNECTIONS: usize = 16;
/// Bytes of an HTTP request's head.
pub const REQUEST_HEAD_BYTES: usize = 16 << 10;
/// How far a live source delivered in segments (HLS) may run ahead of its own time.
pub const SEGMENTED_LEAD: Duration = Duration::from_millis(200);
/// How far any other live source may (a burst at connect is caught up with); more, and it is read in its time.
pub const LIVE_LEAD: Duration = Duration::from_secs(10);

/// Time that an offline render gives its file to be finished.
pub const RENDER_FINISH: Duration = Duration::from_secs(600);
/// Time without anything from a source after which an offline render goes on without it.
pub const OFFLINE_INPUT_TIMEOUT: Duration = Duration::from_secs(30);

// --- engine ----------------------------------------------------------------------------------------------

/// Video frames that the engine keeps of one live input; the oldest is dropped.
pub const TIMELINE_FRAMES: usize = 32;
/// Video frames that the engine asks a file for ahead: enough for the hiccups of its thread, and little memory.
pub const FILE_AHEAD_FRAMES: usize = 6;
/// The same of an offline render, which waits for what it needs.
pub const RENDER_AHEAD_FRAMES: usize = 3;
/// Audio samples that the engine keeps of one input: 4 s.
pub const TIMELINE_SAMPLES: usize = 4 * 48_000;
/// Commands of one caster waiting for the next tick; more are refused.
pub const ENGINE_COMMANDS: usize = 256;
/// How long a show that begins again waits for the sources that PGM shows, before anything goes out.
pub const REOPEN_SOURCES_WAIT: Duration = Duration::from_millis(800);
/// When it goes out at the latest, ready or not.
pub const REOPEN_LATEST: Duration = Duration::from_secs(1);
/// Longest wait of a take for its sources to be ready.
pub const TAKE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Longest transition, fade of components and fade to black; longer ones are refused.
pub const TRANSITION_MAX: Duration = Duration::from_secs(60);
/// How long standby must have been good before it follows the slate again.
pub const SLATE_HOLD: Duration = Duration::from_secs(2);
/// What the engine of one caster has noticed and the studio has not heard yet. Full: it is dropped and counted.
pub const ENGINE_NEWS: usize = 256;
/// Length of a gain ramp that belongs to nothing longer.
pub const GAIN_RAMP_MS: u32 = 30;
/// Largest difference of the delays of two live inputs that are shown on one clock.
pub const SYNC_MAX: Duration = Duration::from_secs(5);
/// Time without a picture after which a live input leaves the clock of its sync group.
pub const SYNC_LOST: Duration = Duration::from_secs(2);
/// How long a live input goes by its own clock before it joins (again) that of its sync group.
pub const SYNC_SETTLE: Duration = Duration::from_secs(1);
/// Video frames that the engine keeps of a live input on the clock of a sync group: 5 s at 60 fps, and the buffer.
pub const SYNC_FRAMES: usize = 332;
/// Bytes of those frames; an input whose pictures would take more leaves the clock.
pub const SYNC_BYTES: usize = 512 << 20;
/// Audio samples that the engine keeps of it: 9 s.
pub const SYNC_SAMPLES: usize = 9 * 48_000;
/// Inputs that are shown delayed at once, each delay of each counted; more are shown without delay.
pub const MAX_VIEWS: usize = 32;
/// Bytes of pictures kept for one delay of one input; past it the delay becomes shorter.
pub const VIEW_BYTES: usize = 512 << 20;
/// Coming switches of PGM that one caster's engine knows; longer lists are refused.
pub const MAX_CUES: usize = 2000;
/// Beginnings of plays (of a file, of an item of a playlist) that the engine remembers of one input; the oldest goes.
pub const INPUT_PARTS: usize = 64;

// --- media library ---------------------------------------------------------------------------------------

/// Items of the media library; more are refused.
pub const MAX_MEDIA: usize = 10_000;
/// Bytes of an uploaded video, unless the configuration says otherwise; larger ones are refused.
pub const MAX_UPLOAD_BYTES: u64 = 20 << 30;
/// Uploads at once; the next is refused.
pub const UPLOADS_AT_ONCE: usize = 4;
/// Time without a byte of an upload after which it is given up.
pub const UPLOAD_IDLE: Duration = Duration::from_secs(30);
/// Bytes of an upload that are gathered before they are written.
pub const UPLOAD_WRITE_BYTES: usize = 1 << 20;
/// Bytes of an upload between looks at how much room the disk has.
pub const UPLOAD_ROOM_CHECK_BYTES: u64 = 64 << 20;
/// Bytes that uploads leave free on the disk, for the catalog and the logs.
pub const DISK_RESERVE_BYTES: u64 = 256 << 20;
/// Bytes of a refused upload that are still read, so that its client reads the answer; then it is cut off.
pub const REFUSED_UPLOAD_BYTES: usize = 4 << 20;
/// Time that is spent on it.
pub const REFUSED_UPLOAD_WAIT: Duration = Duration::from_secs(2);
/// Longest that an uploaded file is looked through; past it, it is refused.
pub const MEDIA_CHECK_TIMEOUT: Duration = Duration::from_secs(600);
/// Longest video of the media library.
pub const MAX_MEDIA_DURATION: Duration = Duration::from_secs(7 * 24 * 3600);
/// Damaged packets of a hundred that an uploaded video may have.
pub const MEDIA_DAMAGED_PERCENT: u64 = 1;

// --- outputs ---------------------------------------------------------------------------------------------

/// Ticks handed to an encoder and not yet encoded. Full: the tick's picture is dropped, the encoder repeats the last one.
pub const ENCODER_QUEUE: usize = 64;
/// Wait between attempts to open a graphics device after one was lost.
pub const GPU_RENEWAL_PAUSE: Duration = Duration::from_secs(1);
/// A part of a picture is dark below this luma, 0 black – 1 white: what AWS MediaLive calls video black by default, and
/// FFmpeg's `blackdetect`.
pub const BLACK_LUMA: f32 = 0.1;
/// A picture is black when this share of it is dark (`blackdetect`).
pub const BLACK_SHARE: f32 = 0.98;
/// A picture is frozen as long as no part of it changes by more than this, of the way from black to white: the −60 dB of
/// FFmpeg's `freezedetect`.
pub const FROZEN_CHANGE: f32 = 0.001;
/// Sources that are measured in one draw; others follow in the next.
pub const MAX_MEASURED: usize = 64;
/// Canvases of one compositor; all in use: the last picture is repeated and counted.
pub const CANVAS_RING: usize = 6;
/// Packets (or tags) waiting for one sink or subscriber. Full: dropped up to the next keyframe and counted.
pub const SINK_QUEUE: usize = 1024;
/// Bytes waiting for one subscriber.
pub const SINK_QUEUE_BYTES: usize = 32 << 20;
/// Tags kept of the current group of pictures for late joiners.
pub const GOP_CACHE_TAGS: usize = 2048;
/// Bytes kept of the current group of pictures for late joiners.
pub const GOP_CACHE_BYTES: usize = 32 << 20;
/// Subscribers of one stream.
pub const MAX_SUBSCRIBERS: usize = 512;
/// Pictures that a relay by RTMP holds until the sound before them has come, which is 43 ms behind at most (two frames of AAC):
/// enough for 180 pictures a second. Full: the first goes ahead of it.
pub const RELAY_INTERLEAVE_PACKETS: usize = 8;
/// Time that a relay's socket may block before it is cut.
pub const RELAY_WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time between two looks at how far away the server of a relay is: scrapes are seldom closer.
pub const ROUND_TRIP_EVERY: Duration = Duration::from_secs(1);
/// Ticks handed to an encoder in all: those over [`ENCODER_QUEUE`] lose their picture but keep their sound. Full: the tick is
/// refused, the encoder repeats the last picture and fills in silence.
pub const ENCODER_QUEUE_TICKS: usize = 512;
/// Encode times that an output remembers for its percentiles.
pub const ENCODE_TIMES: usize = 512;
/// Time that a relay gets to connect, handshake included.
pub const RELAY_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Seconds of media in an HLS segment (cut at the next keyframe).
pub const HLS_SEGMENT_S: u32 = 2;
/// Segments in an HLS playlist.
pub const HLS_SEGMENTS: u32 = 6;
/// Time that a player's socket may take no byte before it is cut.
pub const PLAYER_WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that a player waits for a stream that is not there yet.
pub const PLAYER_WAIT: Duration = Duration::from_secs(5);
/// Chunks of a stream between the hub and one HTTP player's socket.
pub const PLAYER_CHUNKS: usize = 16;
/// Bytes of an HLS playlist or segment that is served.
pub const MAX_HLS_FILE_BYTES: u64 = 64 << 20;
/// Pictures of one stream that NVDEC decoded and that lie in the card's memory: what queue and timeline hold, and what is being
/// drawn. Further ones go through the host, and are counted.
pub const CARD_SURFACES: usize = INPUT_VIDEO_QUEUE + TIMELINE_FRAMES + 8;
/// Packets that a decoder on a card may take without showing anything; B-frames and threads hold back 16 at most.
pub const CARD_SILENCE_PACKETS: usize = 64;
/// Pictures that NVENC may hold besides those that it looks ahead and B-frames that wait: without either it holds one.
pub const NVENC_BUFFERS: usize = 4;
/// Pictures that an encoder may look ahead: NVENC's most is 31 (`lookaheadDepth`), and each holds a canvas.
pub const MAX_LOOKAHEAD_PICTURES: u32 = 31;
/// B-frames in a row: no card's NVENC makes more (`NV_ENC_CAPS_NUM_MAX_BFRAMES`).
pub const MAX_B_FRAMES: u32 = 4;
/// How often a thread that waits for something else looks at its stop token.
pub const STOP_POLL: Duration = Duration::from_millis(50);
/// Streams in the hub.
pub const MAX_STREAMS: usize = 1024;
/// Sinks of one output.
pub const MAX_SINKS: usize = 64;
/// Time that clients get to let go of the listeners when the process is told to stop.
pub const LISTENERS_DRAIN: Duration = Duration::from_millis(500);
/// Time that blocked threads get before the process ends without them.
pub const EXIT_TIMEOUT: Duration = Duration::from_millis(200);
/// Time that outputs get to finish their files when the process is told to stop.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(4);

/// Time between looks at whether the machine is overloaded.
pub const SHED_LOOK: Duration = Duration::from_secs(2);
/// Ticks in that time that say something: a second of one show.
pub const SHED_TICKS: u64 = 25;
/// Looks in a row that must find an overload before less is made.
pub const SHED_OVERLOADS: u32 = 2;
/// Ticks of a hundred without a picture of their own above which less is made; a tenth of that is what the project promises.
pub const OVERLOAD_PERCENT: u64 = 10;
/// Time without an overload after which more is made again, and the most that it becomes when that was too soon.
pub const SHED_CALM: Duration = Duration::from_secs(15);
/// See [`SHED_CALM`].
pub const SHED_CALM_MAX: Duration = Duration::from_secs(240);
/// Pictures that are encoded to learn what an encoder costs.
pub const SPEED_PICTURES: u64 = 30;
/// Pictures that an encoder holds at least: references, and the one that it makes.
pub const ENCODER_PICTURES: usize = 4;
/// Time over which the load of the process is measured.
pub const LOAD_WINDOW: Duration = Duration::from_secs(10);

/// Renditions of one output besides the programme itself; more are refused.
pub const MAX_RENDITIONS: usize = 8;
/// Pictures that an output keeps for renditions that are behind; a rendition that comes later repeats its last one.
pub const RENDITION_PICTURES: usize = 2;

/// Bytes of delayed packets of one rendition in memory; more wait in a file.
pub const DELAY_MEMORY_BYTES: usize = 4 << 20;
/// How often a picture is sent that stands while a longer delay begins: a keyframe twice a second is less than the bit rate.
pub const STILL_EVERY: Duration = Duration::from_millis(500);
/// Bytes of one slot of that file.
pub const DELAY_SLOT_BYTES: usize = 4 << 20;
/// Slots of that file (4 GiB): 300 s at 100 Mbit/s. Full: packets are lost up to a keyframe and counted.
pub const DELAY_SLOTS: usize = 1024;

// --- RTMP server -----------------------------------------------------------------------------------------

/// Connections at once.
pub const RTMP_CONNECTIONS: usize = 256;
/// Time for handshake and connect command.
pub const RTMP_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time without a byte from a publisher.
pub const RTMP_IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes read from a socket at once.
pub const RTMP_READ_BYTES: usize = 64 << 10;
/// Bytes of one RTMP message.
pub const RTMP_MESSAGE_BYTES: usize = 8 << 20;
/// Bytes of one command or data message, which is parsed as AMF0.
pub const RTMP_COMMAND_BYTES: usize = 64 << 10;
/// Depth of objects and arrays in a command.
pub const RTMP_AMF_DEPTH: usize = 16;
/// Chunk streams that a peer may use.
pub const RTMP_CHUNK_STREAMS: usize = 64;
/// Smallest chunk size that a peer may set: smaller ones only burn time.
pub const RTMP_MIN_CHUNK_BYTES: usize = 128;
/// Chunk size that the server writes with.
pub const RTMP_CHUNK_BYTES: u32 = 32 << 10;

//! The server: everything that `onair serve` starts, in order, and ends, in the opposite order.
//!
//! Must not know what a caster does. Invariant: what [`Server::start`] started, [`Server::drain`] ends within
//! [`limits::DRAIN_TIMEOUT`] and a little.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::admission::Admission;
use super::decoders::Decoders;
use super::events::Tellers;
use super::recordings::Recordings;
use super::studio::Studio;
use super::uploads::{Counts, Uploads};
use super::world::World;
use super::{access, encoders, metrics_page};
use crate::api::addresses::{Addresses, PlaybackAuth};
use crate::api::auth_key::StreamKey;
use crate::api::door::Door;
use crate::api::events;
use crate::api::keys::{AccessKey, AccessKeys};
use crate::api::media::Media;
use crate::api::tls::Tls;
use crate::api::{control, grpc, http, openapi, rtmp};
use crate::config::{self, Config, TlsFiles};
use crate::gpu::{AdapterChoice, Supply};
use crate::input::AllowList;
use crate::library::{Bounds, Library};
use crate::limits;
use crate::media::hub::Hub;
use crate::media::nvenc::NvencReport;
use crate::store::{Keeper, Store};
use crate::time::{self, Clock};

/// Time between looks at what is watched.
const DEMAND_EVERY: Duration = Duration::from_millis(200);

/// A running server.
pub struct Server {
    studio: Arc<Studio>,
    keys: Arc<AccessKeys>,
    addresses: Arc<Addresses>,
    grpc: SocketAddr,
    http: SocketAddr,
    rtmp: SocketAddr,
    stopping: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

struct Listeners {
    grpc: Door,
    http: Door,
    rtmp: TcpListener,
}

async fn bind(what: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen for {what} on {address}: {error}"))?;
    let bound = listener.local_addr().map_err(|error| error.to_string())?;
    Ok((listener, bound))
}

fn make_dir(path: &Path) -> Result<(), String> {
    std::fs::create_dir_all(path)
        .map_err(|error| format!("cannot make {}: {error}", path.display()))
}

fn access_keys(config: &Config) -> Result<AccessKeys, String> {
    let configured = config.access_key.as_ref().map(|(id, secret)| (&id[..], &secret[..]));
    AccessKeys::open(&config.data, configured).map_err(|error| format!("the access keys: {error}"))
}

fn library(config: &Config) -> Result<Arc<Library>, String> {
    let bounds = Bounds { upload_bytes: config.max_upload_bytes, ..Bounds::default() };
    let opened = Library::open(config.data.join("library"), bounds);
    opened.map(Arc::new).map_err(|error| format!("the media library: {error}"))
}

fn tls(config: &Config) -> Result<Option<Tls>, String> {
    let load = |files: &TlsFiles| Tls::load(&files.cert, &files.key, files.client_ca.as_deref());
    config.tls.as_ref().map(load).transpose()
}

/// Tries NVIDIA's driver, so that no show waits for that; what decodes.
async fn look_for_driver(config: &Config, gpu: &Arc<Supply>) -> Result<Decoders, String> {
    let (choice, config, gpu) = (config.encoder, config.clone(), Arc::clone(gpu));
    let look = move || (encoders::report(&config, gpu.exports_as()), Decoders::look(&config, &gpu));
    let found = tokio::task::spawn_blocking(look).await;
    let (report, decoders) = found.map_err(|error| error.to_string())?;
    if choice == config::EncoderChoice::Nvenc
        && let Some(NvencReport { device: Err(why), .. }) = report
    {
        tracing::error!(%why, "the encoder is to be NVENC: no show can begin");
    }
    Ok(decoders)
}

fn playback(auth: config::PlaybackAuth) -> PlaybackAuth {
    match auth {
        config::PlaybackAuth::Signed => PlaybackAuth::Signed,
        config::PlaybackAuth::Public => PlaybackAuth::Public,
    }
}

impl Server {
    /// Opens the data directory, the GPU and the listeners, puts casters back on air that were, and serves.
    ///
    /// # Errors
    /// One line that names what could not be had.
    pub async fn start(config: Config) -> Result<Server, String> {
        make_dir(&config.data)?;
        make_dir(&config.media_dir)?;
        make_dir(&config.record_dir)?;
        let allow = Arc::new(AllowList::parse(&config.allow_addresses)?);
        let tls = tls(&config)?;
        let store = Store::open(&config.data).map_err(|error| error.to_string())?;
        let catalog = store.load().map_err(|error| error.to_string())?;
        let store = Arc::new(Keeper::start(store).map_err(|error| error.to_string())?);
        let tellers = Tellers::open(&config, &allow, &store).await?;
        let library = library(&config)?;
        let keys = Arc::new(access_keys(&config)?);
        match keys.admin() {
            Some(key) => tracing::info!(id = key.id(), "access key of the API"),
            None => tracing::warn!("no access key is an active admin's: see onair key make"),
        }
        let key = StreamKey::load_or_make(&config.data)
            .map_err(|error| format!("the stream key: {error}"))?;
        let choice = AdapterChoice(config.adapter.clone());
        let gpu = Supply::open(choice, Some(config.data.join("cache")));
        let gpu = Arc::new(gpu.map_err(|error| error.to_string())?);
        let (grpc_listener, grpc) = bind("gRPC", config.grpc).await?;
        let (http_listener, http) = bind("HTTP", config.http).await?;
        let (rtmp_listener, rtmp) = bind("RTMP", config.rtmp).await?;
        let addresses = Arc::new(Addresses {
            rtmp_port: rtmp.port(),
            http_port: http.port(),
            https: tls.is_some(),
            playback: playback(config.playback_auth),
            key,
            watch: tellers.watch_key.clone(),
        });
        let decoders = look_for_driver(&config, &gpu).await?;
        let (recordings, left) = Recordings::open(store.clone(), &config).await?;
        let world = Arc::new(World {
            admission: Admission::new(&config, &gpu),
            config,
            gpu,
            decoders,
            hub: Hub::new(),
            library,
            recordings,
            clock: Clock::real(),
            allow,
            rtmp,
            next_input: AtomicU32::new(0),
        });
        let studio = Studio::new(world.clone(), catalog, (store, tellers.events()));
        studio.resume();
        let listeners = Listeners {
            grpc: Door::new(grpc_listener, limits::GRPC_CONNECTIONS).behind(tls.as_ref(), b"h2"),
            http: Door::new(http_listener, limits::HTTP_CONNECTIONS)
                .behind(tls.as_ref(), b"http/1.1"),
            rtmp: rtmp_listener,
        };
        let mut server = Server {
            studio,
            keys,
            addresses,
            grpc,
            http,
            rtmp,
            stopping: watch::Sender::new(false),
            tasks: JoinSet::new(),
        };
        let recordings = world.recordings.clone();
        server.tasks.spawn(recordings.run((server.studio.clone(), left), server.stopped()));
        server.serve(&world, listeners, tellers);
        Ok(server)
    }

    fn serve(&mut self, world: &Arc<World>, listeners: Listeners, tellers: Tellers) {
        let (control, calls) = control::channel(limits::CONTROL_QUEUE);
        self.tasks.spawn(self.studio.clone().run(calls));
        let (keys, addresses) = (self.keys.clone(), self.addresses.clone());
        let rate = openapi::Rate::new(world.config.api_rate);
        let followed = events::sse::router(control.clone(), keys.clone(), tellers.watch_key);
        self.tasks.spawn(tellers.courier.run(self.stopped()));
        let cloud = openapi::router(control.clone(), keys.clone(), addresses.clone(), rate);
        let studio = self.studio.clone();
        let media = Media::new(world.library.clone(), Arc::new(move |id| studio.uses_media(id)));
        let library = http::library::router(media.clone(), keys.clone());
        let recordings = http::recordings::router(control.clone(), keys.clone());
        let stop = self.stopped();
        self.tasks.spawn(async move {
            let desk = grpc::Desk { control, keys, addresses, media: Some(media) };
            let served = grpc::serve_desk(listeners.grpc, desk, stop).await;
            if let Err(error) = served {
                tracing::error!(%error, "gRPC ended");
            }
        });
        let gate =
            access::gate(self.addresses.clone(), self.studio.clone(), world.config.ingest_auth);
        let playback =
            http::playback::router(world.hub.clone(), world.config.data.join("hls"), gate.clone());
        let studio = self.studio.clone();
        let (shelves, gpus, admission) = (world.library.clone(), world.gpu.clone(), world.clone());
        let pages = http::pages::router(Arc::new(move || {
            let no_uploads = Counts::default();
            let uploads = admission.recordings.uploads().map_or(&no_uploads, Uploads::counts);
            let counts = (studio.event_counts(), shelves.stats(), uploads);
            let machine = metrics_page::Machine {
                disk_free_bytes: shelves.free_bytes(),
                shed_level: studio.shed_level() as u64,
                load: admission.admission.load(),
                nvenc: encoders::report(&admission.config, gpus.exports_as()),
                nvdec: admission.decoders.report(),
                max_encoders: admission.admission.max_encoders().unwrap_or(0) as u64,
            };
            metrics_page::text(&studio.snapshots(), counts, (&gpus, &machine))
        }));
        let stop = self.stopped();
        let router =
            playback.merge(pages).merge(library).merge(recordings).merge(cloud).merge(followed);
        self.tasks.spawn(async move {
            http::serve(listeners.http, router, stop).await;
        });
        let stop = self.stopped();
        let second = world.config.second_publisher;
        self.tasks.spawn(rtmp::serve(listeners.rtmp, world.hub.clone(), gate, second, stop));
        let (keys, stop) = (self.keys.clone(), self.stopped());
        self.tasks.spawn(async move {
            tokio::select! {
                () = keys.follow() => {}
                () = stop => {}
            }
        });
        let (studio, mut stopping) = (self.studio.clone(), self.stopping.subscribe());
        self.tasks.spawn(async move {
            let mut every = tokio::time::interval(DEMAND_EVERY);
            while !*stopping.borrow_and_update() {
                tokio::select! {
                    _ = every.tick() => {
                        studio.follow_demand();
                        studio.follow_load();
                        studio.keep_house().await;
                    }
                    _ = stopping.changed() => {}
                }
            }
        });
    }

    /// Ready when the server is told to end.
    fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopping = self.stopping.subscribe();
        async move {
            // An error means that the server is gone, which is an end too.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        }
    }

    /// Address of the gRPC API.
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc
    }

    /// Address of playback, metrics and health.
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// Address of the RTMP server.
    pub fn rtmp_address(&self) -> SocketAddr {
        self.rtmp
    }

    /// An access key that may everything; `None` when all of them were revoked.
    pub fn access_key(&self) -> Option<Arc<AccessKey>> {
        self.keys.admin()
    }

    /// The address to push `stream` (`app/name`) to, with its key, good for a day.
    pub fn push_url(&self, stream: &str) -> String {
        push_url(&self.addresses.key, self.rtmp, stream, 1)
    }

    /// Ends the shows (files finished, players told), then the listeners.
    pub async fn drain(mut self) {
        self.studio.drain().await;
        self.stopping.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // A client that does not let go is cut off.
        if tokio::time::timeout(limits::LISTENERS_DRAIN, all).await.is_err() {
            self.tasks.abort_all();
        }
    }
}

/// The address to push `stream` to, signed for `days`.
pub(super) fn push_url(key: &StreamKey, rtmp: SocketAddr, stream: &str, days: u32) -> String {
    let path = format!("/{}", stream.trim_matches('/'));
    let expires_unix_s = time::unix_ms() / 1000 + u64::from(days) * 86_400;
    format!("rtmp://{rtmp}{path}?auth_key={}", key.sign(&path, expires_unix_s))
}

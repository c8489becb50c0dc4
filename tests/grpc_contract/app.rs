//! The server under test: everything but the engine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use onair::api::addresses::{Addresses, PlaybackAuth};
use onair::api::auth_key::StreamKey;
use onair::api::control::{self, Control, Message, Snapshot};
use onair::api::events::Feed;
use onair::api::events::WatchKey;
use onair::api::grpc::pb::caster_service_client::CasterServiceClient;
use onair::api::grpc::{self, KEY_ID_METADATA, KEY_SECRET_METADATA};
use onair::api::keys::{AccessKey, AccessKeys, KeyFile, KeyProblem, Role};
use onair::catalog::{
    Answer, Applied, Call, Caster, Catalog, Change, Context, Effect, ErrorCode, LocationId,
    MediaFacts, Prepared, Refused,
};
use onair::ids::{Bus, CasterId};
use onair::store::Store;
use onair::{limits, time};
use tokio::sync::{mpsc, oneshot, watch};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

pub(crate) const KEY_ID: &str = "tester";
pub(crate) const KEY_SECRET: &str = "not-so-secret";
/// A source at this location never has a frame ready.
pub(crate) const NEVER_READY: &str = "RV66";

/// The one item of the media library, and how long it is.
pub(crate) const CLIP: &str = "clip";
pub(crate) const CLIP_MS: u64 = 10_000;

type Known = Result<Arc<AccessKey>, KeyProblem>;
pub(crate) type Client = CasterServiceClient<InterceptedService<Channel, WithKey>>;

/// Puts an access key on each request.
#[derive(Clone)]
pub(crate) struct WithKey(pub(crate) String, pub(crate) String);

impl WithKey {
    pub(crate) fn new(id: &str, secret: &str) -> WithKey {
        WithKey(id.to_owned(), secret.to_owned())
    }
}

impl tonic::service::Interceptor for WithKey {
    fn call(
        &mut self,
        mut request: tonic::Request<()>,
    ) -> Result<tonic::Request<()>, tonic::Status> {
        request.metadata_mut().insert(KEY_ID_METADATA, self.0.parse().unwrap());
        request.metadata_mut().insert(KEY_SECRET_METADATA, self.1.parse().unwrap());
        Ok(request)
    }
}

pub(crate) struct Server {
    pub(crate) channel: Channel,
    pub(crate) client: Client,
    pub(crate) key: StreamKey,
    pub(crate) watch: WatchKey,
    keys: Arc<AccessKeys>,
    catalog: Arc<Mutex<Catalog>>,
    dir: PathBuf,
    shutdown: Option<oneshot::Sender<()>>,
    app: tokio::task::JoinHandle<()>,
    server: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Server {
        let dir = std::env::temp_dir().join(format!("onair-contract-{}", uuid::Uuid::new_v4()));
        let store = Store::open(&dir).unwrap();
        let catalog = Arc::new(Mutex::new(store.load().unwrap()));
        let (control, messages) = control::channel(limits::CONTROL_QUEUE);
        let app = tokio::spawn(App::new(catalog.clone(), store).run(messages));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let key = StreamKey::new("stream key");
        let watch = WatchKey::new("watch key");
        let addresses = Addresses {
            rtmp_port: 1935,
            http_port: 8080,
            https: false,
            playback: PlaybackAuth::Signed,
            key: key.clone(),
            watch: watch.clone(),
        };
        let (shutdown, stopping) = oneshot::channel();
        let keys = Arc::new(AccessKeys::open(&dir, Some((KEY_ID, KEY_SECRET))).unwrap());
        let edge = Edge { listener, control, keys: keys.clone(), addresses };
        let server = tokio::spawn(edge.serve(stopping));
        let channel = connect(address).await;
        let client = CasterServiceClient::with_interceptor(
            channel.clone(),
            WithKey::new(KEY_ID, KEY_SECRET),
        );
        let shutdown = Some(shutdown);
        Server { channel, client, key, watch, keys, catalog, dir, shutdown, app, server }
    }

    /// A client with a new key of this role, known to the server, and the key's id.
    pub(crate) async fn client_as(&self, role: Role) -> (Client, String) {
        let key = KeyFile::of(&self.dir).make(role, None).unwrap();
        let with_key = WithKey(key.id().to_owned(), key.secret().to_owned());
        self.until_known(key.id(), |known| known.is_ok()).await;
        let client = CasterServiceClient::with_interceptor(self.channel.clone(), with_key);
        (client, key.id().to_owned())
    }

    /// Revokes a key; the server knows.
    pub(crate) async fn revoke(&self, id: &str) {
        KeyFile::of(&self.dir).revoke(id).unwrap();
        self.until_known(id, |known| known.is_err()).await;
    }

    async fn until_known(&self, id: &str, is_so: impl Fn(Known) -> bool) {
        let seen = async {
            while !is_so(self.keys.get(id)) {
                tokio::time::sleep(limits::STOP_POLL).await;
            }
        };
        let followed = async {
            tokio::select! { () = self.keys.follow() => {}, () = seen => {} }
        };
        tokio::time::timeout(limits::KEYS_REFRESH * 10, followed).await.unwrap();
    }

    /// Lets the catalog have this many casters, each a copy of one that there is.
    pub(crate) fn fill(&self, casters: usize) {
        let mut catalog = self.catalog.lock().unwrap();
        let model = catalog.casters().next().unwrap().clone();
        for n in catalog.len()..casters {
            let (id, client_token) =
                (CasterId::parse(&format!("c-{n}")).unwrap(), format!("t-{n}"));
            catalog.commit(Change::Upsert(Arc::new(Caster {
                id,
                client_token,
                ..(*model).clone()
            })));
        }
    }

    /// The present catalog.
    pub(crate) fn catalog(&self) -> Catalog {
        self.catalog.lock().unwrap().clone()
    }

    /// Ends the app behind the edge, which stays.
    pub(crate) async fn kill_app(&mut self) {
        self.app.abort();
        let _ = (&mut self.app).await;
    }

    /// Stops the server, waits for its end, and tells what is on disk.
    pub(crate) async fn stop(mut self) -> Catalog {
        self.shutdown.take().unwrap().send(()).unwrap();
        (&mut self.server).await.unwrap();
        self.kill_app().await;
        Store::open(&self.dir).unwrap().load().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// What the gRPC edge needs.
struct Edge {
    listener: tokio::net::TcpListener,
    control: Control,
    keys: Arc<AccessKeys>,
    addresses: Addresses,
}

impl Edge {
    async fn serve(self, stopping: oneshot::Receiver<()>) {
        let shutdown = async {
            let _ = stopping.await;
        };
        let Edge { listener, control, keys, addresses } = self;
        grpc::serve(listener, control, keys, Arc::new(addresses), shutdown).await.unwrap();
    }
}

async fn connect(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// The app's part: prepare, take effect, save, commit, answer.
struct App {
    catalog: Arc<Mutex<Catalog>>,
    store: Store,
    watches: BTreeMap<CasterId, watch::Sender<Arc<Snapshot>>>,
    applied: Applied,
}

impl App {
    fn new(catalog: Arc<Mutex<Catalog>>, store: Store) -> App {
        let applied = Applied { revision: 0, tick: 0 };
        App { catalog, store, watches: BTreeMap::new(), applied }
    }

    async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        while let Some(message) = messages.recv().await {
            match message {
                Message::Call(request) => {
                    let answer = self.call(request.call, request.expected_revision);
                    let _ = request.reply.send(answer);
                }
                Message::Watch(request) => {
                    let watch = self.watches.get(&request.caster).map(watch::Sender::subscribe);
                    let _ = request.reply.send(watch.ok_or(ErrorCode::CasterNotFound.into()));
                }
                Message::Events(request) => {
                    let _ = request.reply.send(Ok(Feed::new(0)));
                }
                Message::Recordings(request) => {
                    let _ = request.reply.send(Err(onair::api::recordings::not_found()));
                }
            }
        }
    }

    fn call(&mut self, call: Call, expected_revision: Option<u64>) -> Result<Answer, Refused> {
        let ctx = Context {
            now_unix_ms: time::unix_ms(),
            fresh: &uuid::Uuid::new_v4,
            media: &|id| {
                let clip = MediaFacts::Video { duration_ms: CLIP_MS };
                (id.as_str() == CLIP).then_some(clip)
            },
            expected_revision,
        };
        let prepared = self.catalog.lock().unwrap().prepare(call, &ctx)?;
        let answer = self.take_effect(&prepared)?;
        if let Some(change) = prepared.change {
            self.store.save(&change).unwrap();
            self.tell(&change);
            self.catalog.lock().unwrap().commit(change);
        }
        Ok(answer)
    }

    fn take_effect(&mut self, prepared: &Prepared) -> Result<Answer, Refused> {
        let mut answer = prepared.answer.clone();
        for effect in &prepared.effects {
            let waits = match effect {
                Effect::SceneSet { bus: Bus::Pgm, when, .. } | Effect::Take { when, .. } => {
                    !when.force
                }
                Effect::SceneSet { .. }
                | Effect::MixSet { .. }
                | Effect::FollowSet
                | Effect::FadeToBlack { .. } => false,
                _ => continue,
            };
            if waits && shows_what_is_never_ready(prepared) {
                let message = format!("no frame ready from {NEVER_READY}");
                return Err(Refused::new(ErrorCode::SceneConfigError, message));
            }
            self.applied.revision += 1;
            self.applied.tick += 10;
            answer = answer.with_applied(self.applied);
        }
        Ok(answer)
    }

    fn tell(&mut self, change: &Change) {
        match change {
            Change::UpsertGroup(_) | Change::DeleteGroup(_) => {}
            Change::Delete(id) => {
                self.watches.remove(id);
            }
            Change::Upsert(caster) => {
                let mut snapshot = Snapshot::idle(caster.id.clone(), caster.revision);
                snapshot.on_air = caster.is_on_air();
                snapshot.tick = self.applied.tick;
                let scenes = caster.scenes.as_ref();
                snapshot.fade_to_black = scenes.is_some_and(|scenes| scenes.on_black);
                let snapshot = Arc::new(snapshot);
                let watch = self.watches.entry(caster.id.clone());
                watch
                    .or_insert_with(|| watch::Sender::new(snapshot.clone()))
                    .send_replace(snapshot);
            }
        }
    }
}

fn shows_what_is_never_ready(prepared: &Prepared) -> bool {
    let Some(Change::Upsert(caster)) = &prepared.change else { return false };
    let layout = caster.scene(Bus::Pgm).and_then(|s| s.layout.as_ref());
    let layout = layout.and_then(|id| caster.layout(id));
    layout
        .is_some_and(|l| l.video.iter().any(|v| Some(v.location) == LocationId::parse(NEVER_READY)))
}

//! The media library over a real gRPC connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpListener;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::pb;
use super::pb::media_library_client::MediaLibraryClient;
use crate::api::addresses::{Addresses, PlaybackAuth};
use crate::api::auth_key::StreamKey;
use crate::api::control;
use crate::api::events::WatchKey;
use crate::api::grpc::{Desk, KEY_ID_METADATA, KEY_SECRET_METADATA, serve_desk};
use crate::api::keys::{AccessKey, AccessKeys, KeyFile, Role};
use crate::api::media::Media;
use crate::config::RTMP_PORT;
use crate::library::{Bounds, Library};
use crate::media::encode::testing::{Dir, tool_output};
use crate::worker::StopToken;

async fn connect(dir: &Dir, media: Option<Media>) -> MediaLibraryClient<Channel> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let addresses = Addresses {
        rtmp_port: RTMP_PORT,
        http_port: 8080,
        https: false,
        playback: PlaybackAuth::Signed,
        key: StreamKey::new("k"),
        watch: WatchKey::new("w"),
    };
    let (control, _calls) = control::channel(1);
    let keys = Arc::new(AccessKeys::open(&dir.0, None).unwrap());
    let desk = Desk { control, keys, addresses: Arc::new(addresses), media };
    tokio::spawn(async move {
        let served = serve_desk(listener, desk, std::future::pending()).await;
        served.map_err(|error| error.to_string())
    });
    MediaLibraryClient::connect(format!("http://{address}")).await.unwrap()
}

/// A request with the key of its bearer.
fn by<T>(key: &AccessKey, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(KEY_ID_METADATA, key.id().parse().unwrap());
    request.metadata_mut().insert(KEY_SECRET_METADATA, key.secret().parse().unwrap());
    request
}

fn check<T: std::fmt::Debug>(got: Result<T, Status>, code: Code, reason: &str) {
    let status = got.unwrap_err();
    let told = status.get_details_error_info().map(|info| info.reason);
    assert_eq!((status.code(), told.as_deref()), (code, Some(reason)), "{status}");
}

#[tokio::test]
async fn items_are_listed_described_and_deleted_by_who_may() {
    let dir = Dir::new();
    let file = KeyFile::of(&dir.0);
    let [viewer, _, admin] = Role::ALL.map(|role| file.make(role, None).unwrap());
    let bounds = Bounds { reserve_bytes: 0, ..Bounds::default() };
    let library = Arc::new(Library::open(dir.0.join("library"), bounds).unwrap());
    let source = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=1"];
    let path = dir.0.join("a.flv").display().to_string();
    tool_output("ffmpeg", &[&source[..], &["-c:v", "flv1", &path]].concat());
    let mut upload = library.begin(Some("a.flv"), None).unwrap();
    upload.write(&std::fs::read(&path).unwrap()).unwrap();
    let item = upload.finish(&StopToken::new()).unwrap();
    let used = Arc::new(AtomicBool::new(true));
    let in_use = {
        let used = used.clone();
        move |_: &str| used.load(Ordering::Acquire)
    };
    let mut client = connect(&dir, Some(Media::new(library, Arc::new(in_use)))).await;
    let list = |page_num, page_size| pb::ListMediaRequest { page_num, page_size };
    let describe = |id: &str| pb::DescribeMediaRequest { media_id: id.to_owned() };
    let delete = |id: &str| pb::DeleteMediaRequest { media_id: id.to_owned() };

    let page = client.list_media(by(&viewer, list(0, 0))).await.unwrap().into_inner();
    let told = client.describe_media(by(&viewer, describe(&item.id))).await.unwrap().into_inner();
    assert_eq!((page.total, page.media), (1, vec![told.media.clone().unwrap()]));
    let media = told.media.unwrap();
    assert_eq!((media.media_id.as_str(), media.name.as_str()), (item.id.as_str(), "a.flv"));
    assert_eq!((media.r#type(), media.duration_ms), (pb::MediaType::Video, 1000));
    assert_eq!((media.width_px, media.height_px), (64, 48));
    let video = media.video.unwrap();
    assert_eq!((video.video_codec.as_str(), video.audio_codec, video.pictures), ("flv1", None, 25));

    check(client.list_media(list(0, 0)).await, Code::Unauthenticated, "MissingAccessKeyId");
    let pages = [(-1, 0, "InvalidPageNum.Malformed"), (0, 101, "InvalidPageSize.Malformed")];
    for (num, size, reason) in pages {
        let refused = client.list_media(by(&viewer, list(num, size))).await;
        check(refused, Code::InvalidArgument, reason);
    }
    for (key, id, code, reason) in [
        (&viewer, &item.id[..], Code::PermissionDenied, "IllegalOperation"),
        (&admin, "0123", Code::NotFound, "InvalidMedia.NotFound"),
        (&admin, &item.id, Code::FailedPrecondition, "InvalidMedia.InUse"),
    ] {
        check(client.delete_media(by(key, delete(id))).await, code, reason);
    }
    used.store(false, Ordering::Release);
    client.delete_media(by(&admin, delete(&item.id))).await.unwrap();
    let gone = client.describe_media(by(&viewer, describe(&item.id))).await;
    check(gone, Code::NotFound, "InvalidMedia.NotFound");
}

#[tokio::test]
async fn without_a_library_there_is_no_such_service() {
    let dir = Dir::new();
    let admin = KeyFile::of(&dir.0).make(Role::Admin, None).unwrap();
    let mut client = connect(&dir, None).await;
    let request = pb::ListMediaRequest { page_num: 0, page_size: 0 };
    let status = client.list_media(by(&admin, request)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

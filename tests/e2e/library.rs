//! The media library beside calls that name what is in it.

use std::time::Duration;

use onair::api::grpc::pb as v1;
use onair::worker::StopToken;

use crate::support::{Server, Studio, media, run_ffmpeg};

const ROUNDS: u64 = 40;

/// Whichever comes first wins: never is a source there whose file is gone.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_is_about_to_name_is_not_deleted() {
    let server = Server::start();
    let image = server.folder.path("image.png");
    run_ffmpeg(&format!("-f lavfi -i color=teal:size=64x36 -frames:v 1 {}", image.display()));
    let mut studio = Studio::start(&server, &[]).await;
    let (caster_id, http) = (studio.caster.clone(), server.http);
    let mut kept = 0;
    for round in 0..ROUNDS {
        let id = server.upload(&image);
        let path = format!("/media/{id}");
        // At another moment of the call each time.
        let delay = Duration::from_micros(round % 20 * 300);
        let delete = format!("DELETE {path}");
        let deletion = tokio::task::spawn_blocking(move || {
            StopToken::new().wait(delay);
            media(http, &delete, b"").0
        });
        let resource = v1::VideoResource {
            resource_name: "image".into(),
            location_id: "RV01".into(),
            image_id: id,
            ..Default::default()
        };
        let request = v1::AddCasterVideoResourceRequest {
            caster_id: caster_id.clone(),
            video_resource: Some(resource),
        };
        let added = studio.client.add_caster_video_resource(request).await;
        let deleted = deletion.await.unwrap();
        let found = media(http, &format!("GET {path}"), b"").0;
        let Ok(added) = added else {
            assert_eq!((deleted / 100, found), (2, 404), "round {round}: {added:?}");
            continue;
        };
        assert_eq!((deleted, found), (409, 200), "round {round}: {added:?}");
        kept += 1;
        let resource_id = added.into_inner().resource_id;
        let caster_id = caster_id.clone();
        let request = v1::DeleteCasterVideoResourceRequest { caster_id, resource_id };
        studio.client.delete_caster_video_resource(request).await.unwrap();
    }
    println!("{kept} of {ROUNDS} calls came first");
}

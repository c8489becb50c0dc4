//! Who is let in, health, reflection, stopping.

use onair::api::grpc::pb::caster_service_client::CasterServiceClient;
use onair::api::grpc::pb::{
    DescribeCastersRequest, SetCasterSceneConfigRequest, StopCasterRequest, WatchCasterRequest,
};
use onair::api::keys::Role;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt;

use super::app::{KEY_ID, KEY_SECRET, Server, WithKey};
use super::workflow;

#[tokio::test]
async fn without_a_key_nobody_gets_in() {
    let server = Server::start().await;
    let check = async |key: Option<WithKey>, reason: &str| {
        let request = DescribeCastersRequest::default();
        let answer = match key {
            None => {
                CasterServiceClient::new(server.channel.clone()).describe_casters(request).await
            }
            Some(key) => {
                let channel = server.channel.clone();
                CasterServiceClient::with_interceptor(channel, key).describe_casters(request).await
            }
        };
        let status = answer.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        let info = status.get_details_error_info().unwrap();
        assert_eq!((&info.reason[..], &info.domain[..]), (reason, "onair"));
        assert!(!status.message().contains(KEY_SECRET));
    };
    check(None, "MissingAccessKeyId").await;
    check(Some(WithKey::new(KEY_ID, "wrong")), "InvalidAccessKeyId.NotFound").await;
    check(Some(WithKey::new("nobody", KEY_SECRET)), "InvalidAccessKeyId.NotFound").await;
    check(Some(WithKey::new("", "")), "InvalidAccessKeyId.NotFound").await;
}

#[tokio::test]
async fn a_role_may_what_it_is_for_and_no_more() {
    let mut server = Server::start().await;
    let ids = workflow::prepare(&mut server.client, "roles").await;
    let (_, pgm) = workflow::start(&mut server.client, &ids.caster).await;
    let (mut viewer, _) = server.client_as(Role::Viewer).await;
    let (mut operator, operator_id) = server.client_as(Role::Operator).await;
    let caster_id = ids.caster.clone();
    let scene = || SetCasterSceneConfigRequest {
        caster_id: caster_id.clone(),
        scene_id: pgm.scene_id.clone(),
        layout_id: ids.layout.clone(),
        ..Default::default()
    };
    let stop = || StopCasterRequest { caster_id: caster_id.clone() };
    let watch = WatchCasterRequest { caster_id: caster_id.clone(), ..Default::default() };
    let before = server.catalog();
    viewer.describe_casters(DescribeCastersRequest::default()).await.unwrap();
    viewer.watch_caster(watch).await.unwrap();
    let refused = |status: tonic::Status, code: Code, reason: &str| {
        assert_eq!(status.code(), code, "{status:?}");
        assert_eq!(status.get_details_error_info().unwrap().reason, reason);
    };
    let denied = Code::PermissionDenied;
    refused(viewer.stop_caster(stop()).await.unwrap_err(), denied, "PermissionDenied");
    let set = viewer.set_caster_scene_config(scene()).await.unwrap_err();
    refused(set, denied, "IllegalOperation");
    refused(operator.stop_caster(stop()).await.unwrap_err(), denied, "PermissionDenied");
    assert_eq!(server.catalog(), before);
    operator.set_caster_scene_config(scene()).await.unwrap();
    server.client.stop_caster(stop()).await.unwrap();
    server.revoke(&operator_id).await;
    let gone = operator.set_caster_scene_config(scene()).await.unwrap_err();
    refused(gone, Code::Unauthenticated, "InvalidAccessKeyId.Inactive");
}

#[tokio::test]
async fn health_needs_no_key() {
    let server = Server::start().await;
    let mut health = HealthClient::new(server.channel.clone());
    for service in ["", "onair.v1.CasterService"] {
        let request = HealthCheckRequest { service: service.into() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status().as_str_name(), "SERVING", "{service:?}");
    }
}

#[tokio::test]
async fn reflection_needs_a_key_and_knows_the_service() {
    let server = Server::start().await;
    let ask = || {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        tokio_stream::once(request)
    };
    let refused = ServerReflectionClient::new(server.channel.clone())
        .server_reflection_info(ask())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let key = WithKey::new(KEY_ID, KEY_SECRET);
    let mut reflection = ServerReflectionClient::with_interceptor(server.channel.clone(), key);
    let mut answers = reflection.server_reflection_info(ask()).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    assert!(list.service.iter().any(|s| s.name == "onair.v1.CasterService"), "{list:?}");
}

#[tokio::test]
async fn a_watching_client_does_not_hold_up_the_stop() {
    let server = Server::start().await;
    let client = &mut server.client.clone();
    let caster_id = workflow::create(client, "t").await;
    let request = WatchCasterRequest { caster_id, ..Default::default() };
    let mut states = client.watch_caster(request).await.unwrap().into_inner();
    states.message().await.unwrap().unwrap();
    let saved = server.stop().await;
    assert_eq!(saved.casters().count(), 1);
    assert!(!matches!(states.message().await, Ok(Some(_))), "the stream has ended");
}

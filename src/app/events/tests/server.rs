//! The whole server: what operations do is told alike on `WatchCaster` and as server-sent events.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::dir;
use crate::api::client::{self, Client};
use crate::api::grpc::pb as v1;
use crate::app::server::Server;
use crate::config::Settings;

async fn start(data: &std::path::Path) -> Server {
    let any = Some("127.0.0.1:0".parse().unwrap());
    let data = Some(data.to_owned());
    let settings = Settings { data, http: any, grpc: any, rtmp: any, ..Settings::default() };
    Server::start(settings.resolve().unwrap()).await.unwrap()
}

async fn create(client: &mut Client) -> String {
    let request = v1::CreateCasterRequest {
        client_token: "t".to_owned(),
        norm_type: Some(1),
        charge_type: "PostPaid".to_owned(),
        ..Default::default()
    };
    client.create_caster(request).await.unwrap().into_inner().caster_id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_are_told_on_every_wire() {
    let dir = dir();
    let server = start(&dir.0).await;
    let key = server.access_key().unwrap();
    let mut client = client::connect(server.grpc_address(), key.id(), key.secret()).await.unwrap();
    let caster_id = create(&mut client).await;
    let request = v1::WatchCasterRequest {
        caster_id: caster_id.clone(),
        min_interval_ms: Some(0),
        ..Default::default()
    };
    let mut states = client.watch_caster(request).await.unwrap().into_inner();
    let first = states.message().await.unwrap().unwrap();
    assert!(first.events.is_empty() && !first.events_missed, "{first:?}");
    let mut stream = BufReader::new(TcpStream::connect(server.http_address()).await.unwrap());
    let (id, secret) = (key.id(), key.secret());
    let request = format!(
        "GET /casters/{caster_id}/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {id}:{secret}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut line = String::new();
    while !line.starts_with(": following") {
        line.clear();
        assert!(stream.read_line(&mut line).await.unwrap() > 0, "no stream");
    }

    let layout = v1::AddCasterLayoutRequest {
        caster_id: caster_id.clone(),
        layout: Some(v1::Layout::default()),
    };
    let _ = client.add_caster_layout(layout).await.unwrap_err();
    let group = v1::UpdateCasterResourceGroupRequest {
        caster_id: caster_id.clone(),
        new_resource_group_id: "rg".to_owned(),
    };
    client.update_caster_resource_group(group).await.unwrap();
    client.delete_caster(v1::DeleteCasterRequest { caster_id: caster_id.clone() }).await.unwrap();

    // What was refused off air is no event.
    let mut events = Vec::new();
    while let Some(state) = states.message().await.unwrap() {
        events.extend(state.events);
    }
    let told: Vec<_> =
        events.iter().map(|event| (event.event_type.as_str(), event.code.as_str())).collect();
    assert_eq!(told, [("OperateCallback", "Success"); 2]);
    assert!(events[0].sequence < events[1].sequence);
    let mut ids = Vec::new();
    let mut line = String::new();
    while stream.read_line(&mut line).await.unwrap() > 0 {
        ids.extend(line.trim().strip_prefix("id: ").map(|id| id.parse::<u64>().unwrap()));
        if let Some(data) = line.trim().strip_prefix("data: ") {
            assert!(data.contains(&caster_id) && data.contains(r#""Code":"Success""#), "{data}");
        }
        line.clear();
    }
    assert_eq!(ids, [events[0].sequence, events[1].sequence]);
    server.drain().await;
}

//! The whole server: what operations do is told alike by callback, on `WatchCaster` and as server-sent events.

use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{dir, receiver};
use crate::api::client;
use crate::api::grpc::pb as v1;
use crate::app::server::Server;
use crate::catalog::tests::World;
use crate::catalog::{Caster, Change};
use crate::config::Settings;
use crate::store::Store;

async fn start(data: &Path) -> Server {
    let any = Some("127.0.0.1:0".parse().unwrap());
    let settings = Settings {
        data: Some(data.to_owned()),
        http: any,
        grpc: any,
        rtmp: any,
        allow_addresses: Some("127.0.0.0/8".to_owned()),
        ..Settings::default()
    };
    Server::start(settings.resolve().unwrap()).await.unwrap()
}

/// Keeps a caster with this receiver; answers its identifier.
fn keep_caster(data: &Path, callback_url: String) -> String {
    let mut caster = Caster::clone(World::bare().the_caster());
    caster.config.callback_url = Some(callback_url);
    let id = caster.id.to_string();
    Store::open(data).unwrap().save(&Change::Upsert(Arc::new(caster))).unwrap();
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_are_told_on_every_wire() {
    let dir = dir();
    let (address, mut arrived) = receiver(&[500]).await;
    let caster_id = keep_caster(&dir.0, format!("http://{address}/"));
    let server = start(&dir.0).await;
    let key = server.access_key().unwrap();
    let mut client = client::connect(server.grpc_address(), key.id(), key.secret()).await.unwrap();
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
        "GET /casters/{caster_id}/events HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer {id}:{secret}\r\n\r\n"
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
        ..Default::default()
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
    let (mut ids, mut bodies) = (Vec::new(), Vec::new());
    let mut line = String::new();
    while stream.read_line(&mut line).await.unwrap() > 0 {
        ids.extend(line.trim().strip_prefix("id: ").map(|id| id.parse::<u64>().unwrap()));
        if let Some(data) = line.trim().strip_prefix("data: ") {
            assert!(data.contains(&caster_id) && data.contains(r#""Code":"Success""#), "{data}");
            bodies.push(data.to_owned());
        }
        line.clear();
    }
    assert_eq!(ids, [events[0].sequence, events[1].sequence]);
    // The first attempt fails.
    for n in [0, 0, 1] {
        let request = arrived.recv().await.unwrap();
        assert_eq!(request.header("x-onair-event-id"), ids[n].to_string());
        assert_eq!(request.body, bodies[n]);
    }
    server.drain().await;
}

//! A gRPC client with its access key, for the demo, the benches and the tests; programs of users make their own.
//!
//! Must not know what is called. Invariant: every call carries the key.

use std::net::SocketAddr;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::grpc::pb::caster_service_client::CasterServiceClient;
use super::grpc::pb::recordings_client::RecordingsClient;
use super::grpc::{KEY_ID_METADATA, KEY_SECRET_METADATA};

/// A connected client.
pub type Client = CasterServiceClient<InterceptedService<Channel, Credentials>>;

/// Puts the access key into every call.
#[derive(Clone, Debug)]
pub struct Credentials {
    id: MetadataValue<Ascii>,
    secret: MetadataValue<Ascii>,
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert(KEY_ID_METADATA, self.id.clone());
        metadata.insert(KEY_SECRET_METADATA, self.secret.clone());
        Ok(request)
    }
}

/// Connects to the gRPC API at `address`.
///
/// # Errors
/// When nobody listens there or the key has characters that metadata cannot carry.
pub async fn connect(address: SocketAddr, id: &str, secret: &str) -> Result<Client, String> {
    let (channel, credentials) = channel(address, id, secret).await?;
    Ok(CasterServiceClient::with_interceptor(channel, credentials))
}

/// Connects to the index of recordings at `address`.
///
/// # Errors
/// As [`connect`].
pub async fn connect_recordings(
    address: SocketAddr,
    id: &str,
    secret: &str,
) -> Result<Recordings, String> {
    let (channel, credentials) = channel(address, id, secret).await?;
    Ok(RecordingsClient::with_interceptor(channel, credentials))
}

/// Of the index of recordings.
pub type Recordings = RecordingsClient<InterceptedService<Channel, Credentials>>;

async fn channel(
    address: SocketAddr,
    id: &str,
    secret: &str,
) -> Result<(Channel, Credentials), String> {
    let value = |text: &str| {
        MetadataValue::try_from(text).map_err(|error| format!("the access key: {error}"))
    };
    let credentials = Credentials { id: value(id)?, secret: value(secret)? };
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| format!("{address}: {error}"))?
        .connect()
        .await
        .map_err(|error| format!("cannot reach the gRPC API at {address}: {error}"))?;
    Ok((channel, credentials))
}

//! Requests as no client should send them: each is refused with a code of the API, nothing changes, nothing grows.
//!
//! What never becomes a request (a head that is no HTTP, a body that stops) is refused by the transport, without a code.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use onair::api::grpc::pb as v1;
use onair::api::grpc::{KEY_ID_METADATA, KEY_SECRET_METADATA};
use onair::catalog::ErrorCode;
use onair::time::Clock;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt;

use crate::chance::Chance;
use crate::mischief::{OPERATIONS, Sent, message, request};
use crate::support::{From, KEY, SECRET, Server, Studio, is_thorough};

/// Requests of the ordinary run.
const REQUESTS: u64 = 20_000;
/// Requests of the thorough one.
const REQUESTS_THOROUGH: u64 = 100_000;
/// How much the server may grow between the first fifth of the requests and the last, bytes.
const GROWTH: u64 = 10 << 20;

/// The connection that is kept for as long as the server keeps it.
struct Wire {
    address: SocketAddr,
    open: Option<BufReader<TcpStream>>,
}

impl Wire {
    /// Status and body of the answer; none when the server closed instead. A connection that it had closed after the
    /// request before (whose body it did not want) is no answer: then on a new one.
    fn ask(&mut self, sent: &Sent) -> Option<(u16, String)> {
        let is_reused = self.open.is_some();
        self.ask_once(sent).or_else(|| if is_reused { self.ask_once(sent) } else { None })
    }

    fn ask_once(&mut self, sent: &Sent) -> Option<(u16, String)> {
        let address = self.address;
        let connect = || {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            stream.set_nodelay(true).unwrap();
            BufReader::new(stream)
        };
        let mut stream = self.open.take().unwrap_or_else(connect);
        // The server may refuse before it has read everything.
        let _ = stream.get_mut().write_all(&sent.bytes);
        if sent.may_be_no_request {
            let _ = stream.get_mut().shutdown(Shutdown::Write);
        }
        let (mut status, mut length, mut closes) = (None, 0, sent.may_be_no_request);
        loop {
            let mut line = String::new();
            let read = stream.read_line(&mut line).ok()?;
            let line = line.trim_end().to_ascii_lowercase();
            match line.split_once([' ', ':']) {
                _ if read == 0 => return None,
                None if line.is_empty() => break,
                Some(("http/1.1", rest)) => status = rest.split(' ').next()?.parse().ok(),
                Some(("content-length", rest)) => length = rest.trim().parse().unwrap(),
                Some(("connection", rest)) => closes |= rest.trim() == "close",
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        self.open = (!closes).then_some(stream);
        Some((status?, String::from_utf8(body).unwrap()))
    }
}

/// Whether a code is one that the API has: of its table, or its gateway's that name a parameter.
fn is_known(code: &str) -> bool {
    let names = code
        .strip_prefix("Missing")
        .or_else(|| code.strip_prefix("Invalid").and_then(|rest| rest.strip_suffix(".Malformed")));
    ErrorCode::ALL.iter().any(|known| known.as_str() == code)
        || names.is_some_and(|name| !name.is_empty())
}

/// Sends so many requests over one connection; answers how many the transport refused.
fn hammer_http(address: SocketAddr, caster: &str, seed: u64, count: u64) -> u64 {
    let (mut chance, mut wire) = (Chance::new(seed), Wire { address, open: None });
    let mut without_code = 0;
    for _ in 0..count {
        let sent = request(&mut chance, caster);
        let shown =
            || String::from_utf8_lossy(&sent.bytes[..sent.bytes.len().min(2000)]).into_owned();
        let Some((status, body)) = wire.ask(&sent) else {
            assert!(sent.may_be_no_request || sent.bytes.len() > 1 << 20, "closed: {}", shown());
            without_code += 1;
            continue;
        };
        assert!((400..500).contains(&status), "{status} {body}\n{}", shown());
        let code = body.split_once("\"Code\":\"").and_then(|(_, rest)| rest.split_once('"'));
        let code = code.or_else(|| body.split_once("<Code>")?.1.split_once("</Code>"));
        match code {
            Some((code, _)) => assert!(is_known(code), "{code}\n{}", shown()),
            None => {
                assert!(sent.may_be_no_request, "{status} without a code: {body}\n{}", shown());
                without_code += 1;
            }
        }
    }
    without_code
}

/// Bytes as they are.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(to, &item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        let length = bytes::Buf::remaining(from);
        bytes::Buf::advance(from, length);
        Ok(Some(()))
    }
}

async fn hammer_grpc(address: SocketAddr, seed: u64, count: u64) {
    let mut chance = Chance::new(seed);
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel: Channel = endpoint.connect().await.unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    for _ in 0..count {
        let name = if chance.once_in(50) { "NoSuchCall" } else { chance.pick(OPERATIONS) };
        let path = format!("/onair.v1.CasterService/{name}");
        let message = message(&mut chance);
        let mut request = Request::new(message.clone());
        request.metadata_mut().insert(KEY_ID_METADATA, KEY.parse().unwrap());
        if !chance.once_in(20) {
            request.metadata_mut().insert(KEY_SECRET_METADATA, SECRET.parse().unwrap());
        }
        client.ready().await.unwrap();
        let path = PathAndQuery::try_from(path).unwrap();
        let refused = client.unary(request, path, Raw).await.expect_err(name);
        let info =
            refused.get_details_error_info().unwrap_or_else(|| panic!("{name}: {refused:?}"));
        assert!(is_known(&info.reason), "{name} {message:?}: {refused:?}");
        let http_status = info.metadata["http_status"].parse::<u16>().unwrap();
        assert!((400..500).contains(&http_status), "{name} {message:?}: {refused:?}");
    }
}

/// Memory of the process that is its own now, bytes.
pub(crate) fn resident(server: &Server) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", server.process.0.id())).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

async fn state(studio: &mut Studio) -> (v1::DescribeCastersResponse, Option<crate::load::Record>) {
    let casters = studio.client.describe_casters(v1::DescribeCastersRequest::default()).await;
    let record = crate::load::read(&mut studio.client, &studio.caster).await.unwrap();
    (casters.unwrap().into_inner(), record)
}

/// 20,000 requests, or all 100,000 with `ONAIR_THOROUGH=1`: two HTTP connections and one gRPC connection.
#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_with_a_code_and_change_nothing() {
    let total = if is_thorough() { REQUESTS_THOROUGH } else { REQUESTS };
    let server = Server::start_with(&["--api-rate", "0"]);
    let mut studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let request = v1::StopCasterRequest { caster_id: studio.caster.clone() };
    studio.client.stop_caster(request).await.unwrap();
    let (before, clock) = (state(&mut studio).await, Clock::real());
    let (mut sizes, mut without_code) = (Vec::new(), 0);
    for fifth in 0..5 {
        let each = total / 5 / 5;
        let http = [1, 2].map(|seed| {
            let (address, caster) = (server.http, studio.caster.clone());
            let seed = seed * 1000 + fifth;
            tokio::task::spawn_blocking(move || hammer_http(address, &caster, seed, 2 * each))
        });
        let grpc = tokio::spawn(hammer_grpc(server.grpc, 3000 + fifth, each));
        for hammer in http {
            without_code += hammer.await.unwrap();
        }
        grpc.await.unwrap();
        sizes.push(resident(&server));
    }
    let seconds = clock.now_ns() as f64 / 1e9;
    let rate = total as f64 / seconds;
    let mib: Vec<_> = sizes.iter().map(|bytes| bytes >> 20).collect();
    println!(
        "{total} requests in {seconds:.1} s, {rate:.0}/s, {without_code} refused by the transport, {mib:?} MiB"
    );
    assert_eq!(state(&mut studio).await, before);
    assert!(sizes[4] < sizes[0] + GROWTH, "{mib:?} MiB");
}

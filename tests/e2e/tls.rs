//! TLS and mTLS with real clients: tonic's and OpenSSL's.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use onair::api::client;
use onair::api::grpc::pb as v1;
use onair::api::grpc::pb::caster_service_client::CasterServiceClient;
use onair::api::grpc::{KEY_ID_METADATA, KEY_SECRET_METADATA};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::support::{Folder, KEY, Process, SECRET, Server};

fn openssl(line: &str) {
    let output = Command::new("openssl").args(line.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority, and certificates of the server and of a client that it signed.
pub(crate) struct Pki(Folder);

impl Pki {
    pub(crate) fn new() -> Pki {
        let pki = Pki(Folder::new());
        let [ca, ca_key] = ["ca.pem", "ca.key"].map(|name| pki.path(name));
        let new_key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        openssl(&format!("req -x509 {new_key} -keyout {ca_key} -out {ca} -days 2 -subj /CN=ca"));
        for (name, extension) in
            [("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")]
        {
            let [key, csr, cert, with] =
                ["key", "csr", "pem", "ext"].map(|end| pki.path(&format!("{name}.{end}")));
            std::fs::write(&with, extension).unwrap();
            openssl(&format!("req {new_key} -keyout {key} -out {csr} -subj /CN={name}"));
            openssl(&format!(
                "x509 -req -in {csr} -CA {ca} -CAkey {ca_key} -CAcreateserial -days 2 \
                 -extfile {with} -out {cert}"
            ));
        }
        pki
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path(name).to_str().unwrap().to_owned()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn server(&self, more: &[&str]) -> Server {
        let [cert, key] = ["server.pem", "server.key"].map(|name| self.path(name));
        Server::start_with(&[&["--tls-cert", &cert, "--tls-key", &key], more].concat())
    }

    /// Whether the API answers a client that trusts the authority and has this certificate.
    async fn calls(&self, server: &Server, cert: Option<&str>) -> Result<(), String> {
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(self.read("ca.pem")))
            .domain_name("127.0.0.1");
        if let Some(name) = cert {
            let [cert, key] = ["pem", "key"].map(|end| self.read(&format!("{name}.{end}")));
            tls = tls.identity(Identity::from_pem(cert, key));
        }
        let endpoint = Endpoint::from_shared(format!("https://{}", server.grpc)).unwrap();
        let channel = endpoint.tls_config(tls).unwrap().connect().await;
        let channel = channel.map_err(|error| error.to_string())?;
        let with_key = |mut request: tonic::Request<()>| {
            request.metadata_mut().insert(KEY_ID_METADATA, KEY.parse().unwrap());
            request.metadata_mut().insert(KEY_SECRET_METADATA, SECRET.parse().unwrap());
            Ok(request)
        };
        let mut client = CasterServiceClient::with_interceptor(channel, with_key);
        let answer = client.describe_casters(v1::DescribeCastersRequest::default()).await;
        answer.map(drop).map_err(|status| status.to_string())
    }

    /// What OpenSSL's client gets to see of `/healthz`.
    fn healthz(&self, server: &Server, cert: Option<&str>) -> String {
        let mut command = Command::new("openssl");
        command
            .args(["s_client", "-quiet", "-verify_return_error", "-verify_ip", "127.0.0.1"])
            .args(["-connect", &server.http.to_string(), "-CAfile", &self.path("ca.pem")]);
        if let Some(name) = cert {
            let [cert, key] = ["pem", "key"].map(|end| self.path(&format!("{name}.{end}")));
            command.args(["-cert", &cert, "-key", &key]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let ask = b"GET /healthz HTTP/1.1\r\nHost: onair\r\nConnection: close\r\n\r\n";
        // A client that was refused may be gone already.
        let _ = child.stdin.take().unwrap().write_all(ask);
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_and_nothing_else() {
    let pki = Pki::new();
    let server = pki.server(&[]);
    pki.calls(&server, None).await.unwrap();
    assert!(pki.healthz(&server, None).ends_with("ok\n"));
    let plain = match client::connect(server.grpc, KEY, SECRET).await {
        Ok(mut client) => {
            client.describe_casters(v1::DescribeCastersRequest::default()).await.is_ok()
        }
        Err(_) => false,
    };
    assert!(!plain, "a plain client was answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn mtls_asks_for_a_certificate_of_the_authority() {
    let pki = Pki::new();
    let stranger = Pki::new();
    for end in ["pem", "key"] {
        let copied = pki.path(&format!("stranger.{end}"));
        std::fs::copy(stranger.path(&format!("client.{end}")), copied).unwrap();
    }
    let server = pki.server(&["--tls-client-ca", &pki.path("ca.pem")]);
    for (cert, admitted) in [(None, false), (Some("stranger"), false), (Some("client"), true)] {
        let called = pki.calls(&server, cert).await;
        assert_eq!(called.is_ok(), admitted, "{cert:?}: {called:?}");
        let page = pki.healthz(&server, cert);
        assert_eq!(page.contains("ok\n"), admitted, "{cert:?}: {page}");
    }
}

#[test]
fn files_that_do_not_fit_are_named_at_the_start() {
    let pki = Pki::new();
    std::fs::write(pki.path("empty"), "").unwrap();
    for (cert, key, client_ca, says) in [
        ("nowhere", "server.key", "ca.pem", "nowhere"),
        ("empty", "server.key", "ca.pem", "no certificate"),
        ("server.pem", "empty", "ca.pem", "TLS key"),
        ("server.pem", "client.key", "ca.pem", "client.key"),
        ("server.pem", "server.key", "empty", "no certificate"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onair"));
        command.args(["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]);
        command.args(["--rtmp", "127.0.0.1:0", "--data", &pki.path("data")]);
        for (flag, name) in
            [("--tls-cert", cert), ("--tls-key", key), ("--tls-client-ca", client_ca)]
        {
            command.args([flag, &pki.path(name)]);
        }
        let log = Path::new(&pki.path("log")).to_owned();
        command.stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
        let mut process = Process(command.spawn().unwrap());
        assert!(!process.wait(Duration::from_secs(20)).success(), "{cert} {key} {client_ca}");
        let said = std::fs::read_to_string(&log).unwrap();
        assert!(said.contains(says), "{cert} {key} {client_ca}: {said}");
    }
}

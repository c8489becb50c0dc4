//! TLS: of the gRPC and HTTP listeners, from PEM files, and of requests that this server makes.
//!
//! Must not know what is served or asked. Invariant: files that do not fit together are found at the start, and named.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Who the server is, and whom it asks for a certificate.
#[derive(Clone, Debug)]
pub struct Tls(ServerConfig);

impl Tls {
    /// A server with this certificate chain and private key. With `client_ca`, clients need a certificate that one of
    /// these authorities signed.
    ///
    /// # Errors
    /// One line that names the file that cannot be read, or holds no certificate or key, or does not fit the other.
    pub fn load(cert: &Path, key: &Path, client_ca: Option<&Path>) -> Result<Tls, String> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates(cert)?;
        let private = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| format!("the TLS key {}: {error}", key.display()))?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS: {error}"))?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let wrong = |error: &dyn std::fmt::Display| {
                    format!("the TLS client CA {}: {error}", path.display())
                };
                let mut roots = RootCertStore::empty();
                for authority in certificates(path)? {
                    roots.add(authority).map_err(|error| wrong(&error))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .map_err(|error| wrong(&error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder.with_single_cert(chain, private).map_err(|error| {
            format!("the TLS key {} and certificate {}: {error}", key.display(), cert.display())
        })?;
        Ok(Tls(config))
    }

    /// Shakes hands for a protocol, named as in ALPN: `h2`, `http/1.1`.
    pub fn acceptor(&self, protocol: &[u8]) -> TlsAcceptor {
        let mut config = self.0.clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config).into()
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong =
        |error: &dyn std::fmt::Display| format!("the TLS certificate {}: {error}", path.display());
    let read = CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?;
    let chain: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| wrong(&error))?;
    if chain.is_empty() {
        return Err(wrong(&"there is no certificate in it"));
    }
    Ok(chain)
}

/// The certificate authorities of this file, or of the system.
pub(super) fn authorities(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => {
            let found = rustls_native_certs::load_native_certs();
            let (added, _) = roots.add_parsable_certificates(found.certs);
            if added == 0 {
                tracing::warn!("no certificate authorities found: requests over https will fail");
            }
        }
        Some(path) => {
            for authority in certificates(path)? {
                let added = roots.add(authority);
                added.map_err(|error| format!("the TLS CA {}: {error}", path.display()))?;
            }
        }
    }
    Ok(roots)
}

/// Shakes hands as a client that trusts these certificate authorities.
pub(super) fn connector(roots: RootCertStore) -> Result<TlsConnector, String> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

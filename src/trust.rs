//! Whom connections of ours over TLS trust: the authorities of the system, or those of a file.
//!
//! Must not know what is said over them. Invariant: a connection is to who has the name that it was asked for, by a
//! certificate of an authority that is trusted.

use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Trusted authorities.
#[derive(Clone)]
pub(crate) struct Trust(TlsConnector);

impl Trust {
    /// Those of the system.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn system() -> Result<Trust, String> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            tracing::warn!("no certificate authorities found: nobody is trusted over TLS");
        }
        Trust::of(roots)
    }

    /// Those of a file (PEM).
    ///
    /// # Errors
    /// When it cannot be read or there is none in it.
    pub(crate) fn file(path: &Path) -> Result<Trust, String> {
        let wrong =
            |error: &dyn std::fmt::Display| format!("authorities {}: {error}", path.display());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
            let certificate = certificate.map_err(|error| wrong(&error))?;
            roots.add(certificate).map_err(|error| wrong(&error))?;
        }
        match roots.is_empty() {
            true => Err(wrong(&"there is no certificate in it")),
            false => Trust::of(roots),
        }
    }

    /// These only.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn of(roots: RootCertStore) -> Result<Trust, String> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Trust(Arc::new(config).into()))
    }

    /// Shakes hands with whoever is at the other end of the socket and must be `host`.
    ///
    /// # Errors
    /// Why it is not trusted.
    pub(crate) async fn connect<S>(&self, host: &str, socket: S) -> Result<TlsStream<S>, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        self.0.connect(name, socket).await.map_err(|error| format!("TLS: {error}"))
    }
}

//! Which files a server that speaks TLS is made of.
//!
//! Must not read them. Invariant: there is a certificate and its key, or nothing.

use std::path::PathBuf;

/// Files of a server that speaks TLS, PEM each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, the server's own first.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Who signs the certificates of clients; without it clients need none.
    pub client_ca: Option<PathBuf>,
}

impl TlsFiles {
    pub(super) fn of(
        cert: Option<PathBuf>,
        key: Option<PathBuf>,
        client_ca: Option<PathBuf>,
    ) -> Result<Option<TlsFiles>, String> {
        match (cert, key, client_ca) {
            (Some(cert), Some(key), client_ca) => Ok(Some(TlsFiles { cert, key, client_ca })),
            (None, None, None) => Ok(None),
            (None, None, Some(_)) => Err("tls-client-ca needs tls-cert and tls-key".into()),
            _ => Err("give both tls-cert and tls-key, or neither".into()),
        }
    }
}

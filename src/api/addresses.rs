//! The addresses that the API hands out: where the scenes of a caster can be watched.
//!
//! Must not know who serves them. Invariant: an address carries the `auth_key` that it needs; PVW is never public.

use super::auth_key::StreamKey;
use crate::ids::Bus;
use crate::limits;

/// Port that `rtmp://` means when it names none.
const RTMP_PORT: u16 = 1935;
/// Port that `http://` means when it names none.
const HTTP_PORT: u16 = 80;
/// Port that `https://` means when it names none.
const HTTPS_PORT: u16 = 443;

/// Whether players need an `auth_key` for PGM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PlaybackAuth {
    /// They do.
    #[default]
    Signed,
    /// They do not.
    Public,
}

/// Builds addresses.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Port of the RTMP server as players reach it.
    pub rtmp_port: u16,
    /// Port of the HTTP server as players reach it.
    pub http_port: u16,
    /// Whether the HTTP server speaks TLS.
    pub https: bool,
    /// Whether PGM is signed.
    pub playback: PlaybackAuth,
    /// What signs.
    pub key: StreamKey,
}

/// Where a scene can be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SceneUrls {
    /// `rtmp://`
    pub rtmp: String,
    /// `http://….flv`, or `https://`
    pub flv: String,
    /// `http://….m3u8`, or `https://`
    pub m3u8: String,
}

impl Addresses {
    /// The addresses of a scene's stream under `domain`, signed at `now_unix_s`.
    pub fn scene(&self, domain: &str, bus: Bus, stream_name: &str, now_unix_s: u64) -> SceneUrls {
        let expires_unix_s = now_unix_s + limits::STREAM_URL_VALID.as_secs();
        let is_signed = bus == Bus::Pvw || self.playback == PlaybackAuth::Signed;
        let url = |scheme: &str, (port, usual): (u16, u16), suffix: &str| {
            let port = if port == usual { String::new() } else { format!(":{port}") };
            let path = format!("/caster/{stream_name}{suffix}");
            let query = match is_signed {
                true => format!("?auth_key={}", self.key.sign(&path, expires_unix_s)),
                false => String::new(),
            };
            format!("{scheme}://{domain}{port}{path}{query}")
        };
        let (scheme, usual) = match self.https {
            true => ("https", HTTPS_PORT),
            false => ("http", HTTP_PORT),
        };
        SceneUrls {
            rtmp: url("rtmp", (self.rtmp_port, RTMP_PORT), ""),
            flv: url(scheme, (self.http_port, usual), ".flv"),
            m3u8: url(scheme, (self.http_port, usual), ".m3u8"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_signatures_where_they_are_needed() {
        let key = StreamKey::new("k");
        let check = |rtmp_port, http_port, playback, bus, expected: [&str; 3], signed: bool| {
            let https = http_port == 8443;
            let addresses = Addresses { rtmp_port, http_port, https, playback, key: key.clone() };
            let urls = addresses.scene("live.example.com", bus, "ab", 100);
            for (url, plain) in [urls.rtmp, urls.flv, urls.m3u8].into_iter().zip(expected) {
                let (address, auth_key) = url.split_once("?auth_key=").unwrap_or((&url, ""));
                assert_eq!(address, plain);
                let path = &address[address.find("/caster/").unwrap()..];
                assert_eq!(key.verify(path, auth_key, 100 + 24 * 3600), signed, "{url}");
                assert_eq!(auth_key.is_empty(), !signed, "{url}");
                assert!(!key.verify(path, auth_key, 101 + 24 * 3600), "{url}");
            }
        };
        let usual = [
            "rtmp://live.example.com/caster/ab",
            "http://live.example.com/caster/ab.flv",
            "http://live.example.com/caster/ab.m3u8",
        ];
        let other = [
            "rtmp://live.example.com:1936/caster/ab",
            "http://live.example.com:8080/caster/ab.flv",
            "http://live.example.com:8080/caster/ab.m3u8",
        ];
        check(1935, 80, PlaybackAuth::Signed, Bus::Pgm, usual, true);
        check(1936, 8080, PlaybackAuth::Public, Bus::Pgm, other, false);
        check(1936, 8080, PlaybackAuth::Public, Bus::Pvw, other, true);
        let over_tls = [
            "rtmp://live.example.com/caster/ab",
            "https://live.example.com:8443/caster/ab.flv",
            "https://live.example.com:8443/caster/ab.m3u8",
        ];
        check(1935, 8443, PlaybackAuth::Signed, Bus::Pgm, over_tls, true);
    }
}

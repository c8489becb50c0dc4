//! The addresses that the API hands out: where the scenes of a caster can be watched.
//!
//! Must not know who serves them. Invariant: an address carries the `auth_key` that it needs; PVW is never public.

use super::auth_key::StreamKey;
use super::events::WatchKey;
use crate::catalog::{Caster, ErrorCode, Refused, Rendition, Source};
use crate::config::RTMP_PORT;
use crate::ids::{Bus, CasterId};
use crate::{limits, time};

/// Application that the streams of scenes are played under, `/caster/NAME`; nobody may push into it.
pub const PLAYBACK_APP: &str = "caster";
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
    /// What signs the tokens of event streams.
    pub watch: WatchKey,
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

/// A stream that a player can have of a scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// `flv`, `rtmp` or `m3u8`.
    pub format: &'static str,
    /// Which version of PGM; none for the scene itself.
    pub rendition: Option<Rendition>,
    /// Where.
    pub url: String,
}

/// The address of a source, if it is a live stream that players of that kind can have from there.
pub fn source_url<'a>(source: &'a Source, format: &str) -> Option<&'a str> {
    let Source::Live { url } = source else { return None };
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let fits = match format {
        "flv" => path.starts_with("http") && path.ends_with(".flv"),
        format => path.starts_with(format),
    };
    fits.then_some(url)
}

impl Addresses {
    /// The addresses of a scene of a caster, now: its own, and all the streams that players can have of it, the renditions
    /// of PGM behind PGM itself. None before the caster was ever started.
    ///
    /// # Errors
    /// `InvalidDomainName.NotFound` when the caster has none.
    pub fn of_scene(
        &self,
        caster: &Caster,
        bus: Bus,
    ) -> Result<Option<(SceneUrls, Vec<StreamInfo>)>, Refused> {
        let Some(scene) = caster.scene(bus) else { return Ok(None) };
        let domain = caster.config.domain.as_deref().ok_or(ErrorCode::DomainNameNotFound)?;
        let now_unix_s = time::unix_ms() / 1000;
        let renditions = match bus {
            Bus::Pvw => &[][..],
            Bus::Pgm => &caster.config.renditions,
        };
        let own = self.scene(domain, bus, &scene.stream_name, now_unix_s);
        let mut infos = own.infos(None);
        for rendition in renditions {
            let name = format!("{}_{}", scene.stream_name, rendition.as_str());
            infos.extend(self.scene(domain, bus, &name, now_unix_s).infos(Some(*rendition)));
        }
        Ok(Some((own, infos)))
    }

    /// What lets its bearer follow the events of a caster for [`limits::WATCH_TOKEN_VALID`], without a key.
    pub fn watch_token(&self, caster: &CasterId) -> String {
        let now_unix_s = time::unix_ms() / 1000;
        self.watch.watch_token(caster, now_unix_s + limits::WATCH_TOKEN_VALID.as_secs())
    }

    /// The addresses of a scene's stream under `domain`, signed at `now_unix_s`.
    pub fn scene(&self, domain: &str, bus: Bus, stream_name: &str, now_unix_s: u64) -> SceneUrls {
        let expires_unix_s = now_unix_s + limits::STREAM_URL_VALID.as_secs();
        let is_signed = bus == Bus::Pvw || self.playback == PlaybackAuth::Signed;
        let url = |scheme: &str, (port, usual): (u16, u16), suffix: &str| {
            let port = if port == usual { String::new() } else { format!(":{port}") };
            let path = format!("/{PLAYBACK_APP}/{stream_name}{suffix}");
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

impl SceneUrls {
    fn infos(&self, rendition: Option<Rendition>) -> Vec<StreamInfo> {
        let info = |(format, url): (&'static str, &String)| StreamInfo {
            format,
            rendition,
            url: url.clone(),
        };
        [("flv", &self.flv), ("rtmp", &self.rtmp), ("m3u8", &self.m3u8)].map(info).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_in_the_form_that_they_have() {
        for (url, flv, rtmp) in [
            ("rtmp://a/app/cam", false, true),
            ("http://a/app/cam.flv?auth_key=1", true, false),
            ("https://a/app/cam.flv", true, false),
            ("http://a/app/cam.m3u8?x=.flv", false, false),
            ("srt://a:1", false, false),
        ] {
            let source = Source::Live { url: url.into() };
            assert_eq!(source_url(&source, "flv"), flv.then_some(url), "{url}");
            assert_eq!(source_url(&source, "rtmp"), rtmp.then_some(url), "{url}");
        }
    }

    #[test]
    fn ports_and_signatures_where_they_are_needed() {
        let key = StreamKey::new("k");
        let check = |rtmp_port, http_port, playback, bus, expected: [&str; 3], signed: bool| {
            let https = http_port == 8443;
            let watch = WatchKey::new("w");
            let key = key.clone();
            let addresses = Addresses { rtmp_port, http_port, https, playback, key, watch };
            let urls = addresses.scene("live.example.com", bus, "ab", 100);
            for (url, plain) in [urls.rtmp, urls.flv, urls.m3u8].into_iter().zip(expected) {
                let (address, auth_key) = url.split_once("?auth_key=").unwrap_or((&url, ""));
                assert_eq!(address, plain);
                let path = &address[address.find("/caster/").unwrap()..];
                assert_eq!(addresses.key.verify(path, auth_key, 100 + 24 * 3600), signed, "{url}");
                assert_eq!(auth_key.is_empty(), !signed, "{url}");
                assert!(!addresses.key.verify(path, auth_key, 101 + 24 * 3600), "{url}");
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
        check(RTMP_PORT, 80, PlaybackAuth::Signed, Bus::Pgm, usual, true);
        check(1936, 8080, PlaybackAuth::Public, Bus::Pgm, other, false);
        check(1936, 8080, PlaybackAuth::Public, Bus::Pvw, other, true);
        let over_tls = [
            "rtmp://live.example.com/caster/ab",
            "https://live.example.com:8443/caster/ab.flv",
            "https://live.example.com:8443/caster/ab.m3u8",
        ];
        check(RTMP_PORT, 8443, PlaybackAuth::Signed, Bus::Pgm, over_tls, true);
    }
}

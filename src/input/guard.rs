//! The URL guard: where a source's URL may lead.
//!
//! Owns the scheme allow-list, the address table and name resolution. Must not know what is fetched. Invariant:
//! a connection goes to an address that was checked, never to a name that is resolved again: RTMP and SRT URLs are
//! rewritten to the address, RTMPS goes through [`super::tunnel`] to it, HTTP through [`super::proxy`], which checks each
//! connection where it is made — also after a redirect, and for each URL inside a playlist.
//!
//! Not covered: FFmpeg leaves hosts named in the environment variable `no_proxy` out of the proxy; of such a URL
//! only its first host is checked. The process should run without it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use url::Url;

use super::proxy::Proxy;
use super::tunnel::Tunnel;
use crate::config::RTMP_PORT;
use crate::limits::{INPUT_CONNECT_TIMEOUT, MAX_URL_BYTES};
use crate::media::mux::{PushProtocol, PushTo};
use crate::media::open::{HTTP_PROTOCOLS, MediaError};
use crate::trust::Trust;
use crate::worker::StopToken;

/// Address ranges that are allowed besides public ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    ranges: Vec<(IpAddr, u8)>,
}

impl AllowList {
    /// Parses CIDR ranges separated by commas, e.g. `127.0.0.0/8,::1/128`; an address alone is a range of one.
    /// Empty text allows public addresses only.
    ///
    /// # Errors
    /// Names the range that is not one.
    pub fn parse(text: &str) -> Result<AllowList, String> {
        let parse_range = |range: &str| {
            let (address, bits) = match range.split_once('/') {
                Some((address, bits)) => (address, Some(bits)),
                None => (range, None),
            };
            let address: IpAddr = address.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
            (bits <= most).then_some((address, bits))
        };
        let ranges = text.split(',').map(str::trim).filter(|range| !range.is_empty());
        let ranges = ranges
            .map(|range| {
                parse_range(range).ok_or_else(|| format!("{range:?} is no address range (CIDR)"))
            })
            .collect::<Result<_, _>>()?;
        Ok(AllowList { ranges })
    }

    /// Whether a source may be at this address.
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.ranges.iter().any(|&range| is_within(address, range))
    }

    /// The first of the addresses that is not permitted; none of them may be used then.
    fn first_refused(&self, addresses: &[SocketAddr]) -> Option<IpAddr> {
        addresses.iter().map(SocketAddr::ip).find(|&address| !self.permits(address))
    }

    /// Checks all addresses that a host has.
    ///
    /// # Errors
    /// Says which address of which host is not permitted, or that there is none.
    pub(super) fn check(&self, host: &str, addresses: &[SocketAddr]) -> Result<(), String> {
        match self.first_refused(addresses) {
            Some(address) => Err(format!("{host} is at {address}, which is not allowed")),
            None if addresses.is_empty() => Err(format!("{host} has no address")),
            None => Ok(()),
        }
    }
}

fn is_within(address: IpAddr, (network, bits): (IpAddr, u8)) -> bool {
    let prefix = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let ((a, length), (n, network_length)) = (prefix(address), prefix(network.to_canonical()));
    // A range written as ::ffff:a.b.c.d/n counts its bits from the IPv6 side.
    let bits =
        if network_length == 32 && network.is_ipv6() { bits.saturating_sub(96) } else { bits };
    let shift = length - u32::from(bits).min(length);
    length == network_length && a.checked_shr(shift) == n.checked_shr(shift)
}

/// Whether an address is one of the public internet: not loopback, private, link-local (cloud metadata is
/// there), shared, multicast, reserved or made for documentation, also not inside IPv6 (IANA special-purpose
/// registries).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = [
        ("0.0.0.0", 8),
        ("10.0.0.0", 8),
        ("100.64.0.0", 10),
        ("127.0.0.0", 8),
        ("169.254.0.0", 16),
        ("172.16.0.0", 12),
        ("192.0.0.0", 24),
        ("192.0.2.0", 24),
        ("192.88.99.0", 24),
        ("192.168.0.0", 16),
        ("198.18.0.0", 15),
        ("198.51.100.0", 24),
        ("203.0.113.0", 24),
        ("224.0.0.0", 3),
    ];
    !special.iter().any(|&(network, bits)| {
        network.parse().is_ok_and(|network| is_within(IpAddr::V4(address), (network, bits)))
    })
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let v4_at = |index: usize| {
        let [a, b] = segments[index].to_be_bytes();
        let [c, d] = segments[index + 1].to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        // IPv4 inside: mapped, NAT64, 6to4.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => is_public_v4(v4_at(6)),
        [0x2002, ..] => is_public_v4(v4_at(1)),
        // Teredo and other protocol assignments; documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // Of the rest only global unicast, 2000::/3.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// What a URL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UrlUse {
    /// A live stream.
    Live,
    /// A file to play.
    File,
    /// A destination to push to.
    Relay,
}

/// A URL that may be opened, as FFmpeg gets it. Keep it while the source is open.
pub(super) struct Admitted {
    pub(super) url: String,
    pub(super) options: Vec<(&'static str, String)>,
    pub(super) protocols: &'static str,
    proxy: Option<Proxy>,
    /// Of one that is spoken to over TLS of ours: name and addresses.
    server: Option<(String, Vec<SocketAddr>)>,
}

impl Admitted {
    /// What the guard refused since, if it did (a redirect, a URL in a playlist).
    pub(super) fn into_refusal(self) -> Option<String> {
        self.proxy.and_then(|proxy| proxy.refusal())
    }
}

/// Checks a URL and prepares it for FFmpeg.
///
/// # Errors
/// When the scheme is not one for this use, or the host is at an address that is not permitted.
pub(super) fn admit(
    text: &str,
    usage: UrlUse,
    allow: &AllowList,
    stop: &StopToken,
) -> Result<Admitted, MediaError> {
    let refuse = |text: &str| Err(MediaError::Refused(text.to_owned()));
    if text.len() > MAX_URL_BYTES {
        return refuse("the URL is too long");
    }
    let Ok(url) = Url::parse(text) else { return refuse("it is no URL") };
    let (default_port, protocols) = match (url.scheme(), usage) {
        ("http", UrlUse::Live | UrlUse::File) => (80, HTTP_PROTOCOLS),
        ("https", UrlUse::Live | UrlUse::File) => (443, HTTP_PROTOCOLS),
        ("rtmp", UrlUse::Live | UrlUse::Relay) => (RTMP_PORT, "rtmp,tcp"),
        ("rtmps", UrlUse::Relay) => (443, "rtmp,tcp"),
        ("srt", UrlUse::Live | UrlUse::Relay) => (0, "srt"),
        (scheme, UrlUse::Live) => {
            return refuse(&format!("{scheme} is none of rtmp, http, https, srt"));
        }
        (scheme, UrlUse::Relay) => {
            return refuse(&format!("{scheme} is none of rtmp, rtmps, srt"));
        }
        (scheme, UrlUse::File) => return refuse(&format!("{scheme} is none of http, https")),
    };
    let Some(host) = url.host_str().map(|host| host.trim_matches(['[', ']'])) else {
        return refuse("it names no host");
    };
    let port = url.port_or_known_default().unwrap_or(default_port);
    if port == 0 {
        return refuse("it names no port");
    }
    let addresses = resolve(host, port, stop)?;
    allow.check(host, &addresses).map_err(MediaError::Refused)?;
    match url.scheme() {
        "rtmp" => Ok(rtmp(&url, addresses[0])),
        "rtmps" => {
            let server = Some((host.to_owned(), addresses.clone()));
            Ok(Admitted { url: text.to_owned(), server, ..rtmp(&url, addresses[0]) })
        }
        "srt" => srt(&url, addresses[0]),
        _ => {
            let proxy = Proxy::start(allow.clone()).map_err(|e| MediaError::Open(e.to_string()))?;
            let options = vec![("http_proxy", proxy.url())];
            Ok(Admitted {
                url: text.to_owned(),
                options,
                protocols,
                proxy: Some(proxy),
                server: None,
            })
        }
    }
}

/// Where a relay's push connects to, looked up and checked. RTMP and SRT get the address; RTMPS gets a way through TLS of our
/// own, which is open when this returns. The server's certificate must be its name's, by an authority of the system or, when
/// there is a file of authorities (PEM), of that.
///
/// # Errors
/// Why it may not lead there, or who is there is not to be trusted.
pub fn admit_relay(
    url: &str,
    (allow, authorities): (&AllowList, Option<&Path>),
    stop: &StopToken,
) -> Result<PushTo, String> {
    let admitted = admit(url, UrlUse::Relay, allow, stop).map_err(|error| error.to_string())?;
    if admitted.protocols == "srt" {
        let (url, protocol) = (admitted.url, PushProtocol::Srt);
        return Ok(PushTo { url, protocol, options: Vec::new(), keeps: None, round_trip: None });
    }
    let tc_url = admitted.options.into_iter().find(|(name, _)| *name == "rtmp_tcurl");
    let options = vec![(c"rtmp_tcurl", tc_url.map(|(_, url)| url).unwrap_or_default())];
    let protocol = PushProtocol::Rtmp;
    let Some((host, addresses)) = admitted.server else {
        return Ok(PushTo { url: admitted.url, protocol, options, keeps: None, round_trip: None });
    };
    let trust = authorities.map_or_else(Trust::system, Trust::file)?;
    let tunnel = Tunnel::open((&host, &addresses), &trust, stop)?;
    let url = Url::parse(url).map_err(|error| error.to_string())?;
    let url = rewritten(&url, tunnel.address()).replacen("rtmps:", "rtmp:", 1);
    let round_trip = Some(tunnel.round_trip());
    Ok(PushTo { url, protocol, options, keeps: Some(Box::new(tunnel)), round_trip })
}

/// Where a callback's receiver is: the addresses of its host, looked up and checked, to connect to as they are.
///
/// # Errors
/// Why it may not be posted to.
pub fn admit_callback(
    url: &Url,
    allow: &AllowList,
    stop: &StopToken,
) -> Result<Vec<SocketAddr>, String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{} is none of http, https", url.scheme()));
    }
    let host = url.host_str().map(|host| host.trim_matches(['[', ']']));
    let (Some(host), Some(port)) = (host, url.port_or_known_default()) else {
        return Err("it names no host".to_owned());
    };
    let addresses = resolve(host, port, stop).map_err(|error| error.to_string())?;
    allow.check(host, &addresses)?;
    Ok(addresses)
}

/// The URL with an address for its host.
fn rewritten(url: &Url, address: SocketAddr) -> String {
    let user = match (url.username(), url.password()) {
        ("", _) => String::new(),
        (name, None) => format!("{name}@"),
        (name, Some(password)) => format!("{name}:{password}@"),
    };
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}://{user}{address}{}{query}", url.scheme(), url.path())
}

fn rtmp(url: &Url, address: SocketAddr) -> Admitted {
    // The server is told the name, not the address. As FFmpeg reads a path: /app/stream or /app/instance/stream.
    let segments: Vec<&str> = url.path().trim_start_matches('/').split('/').collect();
    let app = segments[..segments.len().saturating_sub(1).min(2)].join("/");
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let tc_url = format!("{}://{}{port}/{app}", url.scheme(), url.host_str().unwrap_or_default());
    let options = vec![("rtmp_tcurl", tc_url), ("rtmp_live", "live".to_owned())];
    Admitted {
        url: rewritten(url, address),
        options,
        protocols: "rtmp,tcp",
        proxy: None,
        server: None,
    }
}

fn srt(url: &Url, address: SocketAddr) -> Result<Admitted, MediaError> {
    let calls = url.query_pairs().all(|(key, value)| key != "mode" || value == "caller");
    if !calls {
        return Err(MediaError::Refused("over SRT this server is the caller".into()));
    }
    let options = vec![];
    Ok(Admitted {
        url: rewritten(url, address),
        options,
        protocols: "srt",
        proxy: None,
        server: None,
    })
}

/// All addresses of a host, looked up so that a stop is not held up by a slow name server.
fn resolve(host: &str, port: u16, stop: &StopToken) -> Result<Vec<SocketAddr>, MediaError> {
    const STOP_CHECK: Duration = Duration::from_millis(50);
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| MediaError::Open(error.to_string()))?;
    let found = runtime.block_on(async {
        let lookup = tokio::net::lookup_host((host, port));
        let stopped = async {
            while !stop.is_stopped() {
                tokio::time::sleep(STOP_CHECK).await;
            }
        };
        tokio::select! {
            found = tokio::time::timeout(INPUT_CONNECT_TIMEOUT, lookup) => match found {
                Ok(Ok(found)) => Ok(found.collect()),
                Ok(Err(error)) => Err(MediaError::Open(format!("{host}: {error}"))),
                Err(_elapsed) => Err(MediaError::TimedOut(INPUT_CONNECT_TIMEOUT)),
            },
            () = stopped => Err(MediaError::Stopped),
        }
    });
    // The name server may still be asked; nobody waits for its answer.
    runtime.shutdown_background();
    found
}

#[cfg(test)]
#[path = "tests/guard.rs"]
mod tests;

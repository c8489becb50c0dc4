//! Addresses as they may be logged.
//!
//! Must not know what is done with them. Invariant: no user, password, query or stream key comes out.

/// The address without user information, query and fragment; of `rtmp` and `srt` also without the last path
/// segment, which is a stream key. What is no URL (a path, `pattern:`) comes back as it is.
pub fn redact(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let keyed = scheme.starts_with("rtmp") || scheme == "srt";
    let path = match path.rsplit_once('/') {
        _ if path.is_empty() => String::new(),
        Some((app, _)) if keyed => format!("/{app}/…"),
        None if keyed => "/…".to_owned(),
        _ => format!("/{path}"),
    };
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn secrets_do_not_come_out() {
        let table = [
            ("rtmp://host:1935/live/secret?auth_key=1-2", "rtmp://host:1935/live/…"),
            ("rtmp://host/secret", "rtmp://host/…"),
            ("rtmps://u:p@host/app/inst/key", "rtmps://host/app/inst/…"),
            ("srt://host:9000?streamid=key&passphrase=x", "srt://host:9000"),
            ("https://u:p@host/a/b.m3u8?token=x#y", "https://host/a/b.m3u8"),
            ("http://host", "http://host"),
            ("/data/clip.mp4", "/data/clip.mp4"),
            ("pattern:640x360@30", "pattern:640x360@30"),
        ];
        for (address, want) in table {
            assert_eq!(redact(address), want, "{address}");
        }
    }
}

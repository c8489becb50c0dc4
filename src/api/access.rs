//! Who may publish and play: the question that the RTMP and HTTP edges ask, and the reading of what clients send with it.
//!
//! Must not know how it is decided. Invariant: a key taken from a URL is handed to the gate and nowhere else.

use std::fmt;
use std::sync::Arc;

use crate::limits::MAX_NAME_BYTES;

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To push a stream.
    Publish,
    /// To play one.
    Play,
}

/// Decides at once, without blocking: what is wanted, the path `/app/name` as signed, the value of `auth_key` if there
/// was one.
pub type Decide = dyn Fn(Access, &str, Option<&str>) -> bool + Send + Sync;

/// The gate that every player and publisher passes. Cheap to clone.
#[derive(Clone)]
pub struct Gate(Arc<Decide>);

impl Gate {
    /// A gate that decides like this.
    pub fn new(
        decide: impl Fn(Access, &str, Option<&str>) -> bool + Send + Sync + 'static,
    ) -> Gate {
        Gate(Arc::new(decide))
    }

    /// Whether the client may.
    pub fn allows(&self, access: Access, path: &str, auth_key: Option<&str>) -> bool {
        (self.0)(access, path, auth_key)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

/// A name from a URL and the `auth_key` of the query behind it.
pub(crate) fn split_query(text: &str) -> (&str, Option<String>) {
    let Some((name, query)) = text.split_once('?') else { return (text, None) };
    (name, auth_key(query))
}

/// The value of `auth_key` in a query string.
pub(crate) fn auth_key(query: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find_map(|(name, value)| (name == "auth_key").then(|| value.into_owned()))
}

/// Whether a part of a stream's name is fit for a map, a log line and a path.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '+' | '@');
    !text.is_empty()
        && text.len() <= MAX_NAME_BYTES
        && !text.starts_with('.')
        && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keys_are_read() {
        for (text, name, key) in [
            ("a", "a", None),
            ("a?auth_key=1-0-0-x", "a", Some("1-0-0-x")),
            ("a?b=c&auth_key=x%2Fy&d", "a", Some("x/y")),
            ("a?b", "a", None),
        ] {
            assert_eq!(split_query(text), (name, key.map(str::to_owned)), "{text}");
        }
        for (text, ok) in [
            ("show_lhd.1", true),
            ("节目", true),
            ("..", false),
            (".hidden", false),
            ("a/b", false),
            ("a\n", false),
            ("", false),
        ] {
            assert_eq!(is_name(text), ok, "{text:?}");
        }
    }
}

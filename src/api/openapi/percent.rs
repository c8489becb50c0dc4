//! Percent-encoding as signatures count it (RFC 3986, upper-case digits), and the decoding of queries and forms.
//!
//! Must not know parameters. Invariant: decoding gives the same text for every spelling of it, encoding one spelling.

use super::fault::Fault;
use crate::catalog::ErrorCode;
use crate::limits;

/// Everything but `A–Z a–z 0–9 - _ . ~` as `%XX`.
pub(super) fn encode(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
            encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    encoded
}

/// `a=b&c=d…`, encoded.
pub(super) fn encode_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<String> =
        pairs.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

/// The names and values of a query or form, in their order; `+` is a space.
///
/// # Errors
/// When there are more than [`limits::API_PARAMS`], or one is not UTF-8.
pub(super) fn decode_pairs(encoded: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    let refuse = |why: String| Fault::new(ErrorCode::ParameterMalformed, why);
    let mut pairs = Vec::new();
    for pair in encoded.split(|&b| b == b'&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == limits::API_PARAMS {
            return Err(refuse(format!("There are more than {} parameters.", limits::API_PARAMS)));
        }
        let equals = pair.iter().position(|&b| b == b'=');
        let (name, value) = equals.map_or((pair, &pair[..0]), |at| (&pair[..at], &pair[at + 1..]));
        let text = |encoded| {
            decode(encoded).ok_or_else(|| refuse("A parameter is not encoded as UTF-8.".to_owned()))
        };
        pairs.push((text(name)?, text(value)?));
    }
    Ok(pairs)
}

fn decode(encoded: &[u8]) -> Option<String> {
    let digit = |at: usize| encoded.get(at).and_then(|&b| char::from(b).to_digit(16));
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut at = 0;
    while let Some(&byte) = encoded.get(at) {
        let pair = digit(at + 1).zip(digit(at + 2)).filter(|_| byte == b'%');
        bytes.push(match (byte, pair) {
            (_, Some((high, low))) => u8::try_from(high << 4 | low).ok()?,
            (b'+', None) => b' ',
            (other, None) => other,
        });
        at += if pair.is_some() { 3 } else { 1 };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        for (text, encoded) in [
            ("demo studio*~", "demo%20studio%2A~"),
            ("a-_.~/b", "a-_.~%2Fb"),
            ("导播", "%E5%AF%BC%E6%92%AD"),
            ("+%&=", "%2B%25%26%3D"),
        ] {
            assert_eq!(encode(text), encoded);
            assert_eq!(decode(encoded.as_bytes()).as_deref(), Some(text));
        }
        let pairs = decode_pairs(b"&a=+b&&c&d==%2b&%e5%af%bc=%zz&=e&").unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| (&n[..], &v[..])).collect();
        let expected = [("a", " b"), ("c", ""), ("d", "=+"), ("导", "%zz"), ("", "e")];
        assert_eq!(pairs, expected);
        assert!(decode_pairs(b"a=%ff").is_err());
        assert!(decode_pairs(&b"a&".repeat(limits::API_PARAMS)).is_ok());
        assert!(decode_pairs(&b"a&".repeat(limits::API_PARAMS + 1)).is_err());
    }
}

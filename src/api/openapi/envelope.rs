//! How answers travel: JSON or XML, `RequestId`, error bodies, HTTP status.
//!
//! Must not know operations. Invariant: every request is answered in the form that it asks for, refusals too.

use axum::body::Body;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::fault::Fault;
use super::sign::Scheme;
use crate::catalog::ErrorCode;

/// The header that names the request, beside the body.
const REQUEST_ID: &str = "x-acs-request-id";
/// The header that says when it is worth another try, ms: the SDKs sleep for so long.
const RETRY_AFTER: &str = "x-acs-retry-after";

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A flat object.
    Json,
    /// Elements under `{Action}Response` or `Error`.
    Xml,
}

impl Format {
    /// The form that the `Format` parameter asks for; without one what the client can be expected to read: XML only for
    /// a V1 client that does not ask for JSON in `accept`.
    ///
    /// # Errors
    /// `InvalidParameter.Format`.
    pub(super) fn asked(
        parameter: Option<&str>,
        scheme: Scheme,
        headers: &HeaderMap,
    ) -> Result<Format, Fault> {
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match parameter.unwrap_or_default() {
            "" if scheme == Scheme::V1 && !accept.contains("json") => Ok(Format::Xml),
            "" => Ok(Format::Json),
            text if text.eq_ignore_ascii_case("json") => Ok(Format::Json),
            text if text.eq_ignore_ascii_case("xml") => Ok(Format::Xml),
            _ => Err(ErrorCode::FormatInvalid.into()),
        }
    }
}

/// An answer on its way.
pub(super) struct Envelope {
    pub(super) format: Format,
    /// `RequestId`, an upper-case UUID.
    pub(super) request_id: String,
    /// `HostId` of errors: the host that the client asked.
    pub(super) host: String,
}

impl Envelope {
    /// The response to a call of `action` that was accepted.
    pub(super) fn success(&self, action: &str, mut answer: Value) -> Response {
        answer["RequestId"] = self.request_id.as_str().into();
        self.response(200, &format!("{action}Response"), &answer)
    }

    /// The response to a refused one.
    pub(super) fn fault(&self, fault: &Fault) -> Response {
        let body = json!({
            "RequestId": self.request_id,
            "HostId": self.host,
            "Code": fault.code,
            "Message": fault.message,
        });
        let mut response = self.response(fault.status, "Error", &body);
        if let Some(ms) = fault.retry_after_ms {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(ms));
        }
        response
    }

    fn response(&self, status: u16, root: &str, body: &Value) -> Response {
        let (content_type, text) = match self.format {
            Format::Json => ("application/json;charset=utf-8", body.to_string()),
            Format::Xml => {
                let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>".to_owned();
                write_xml(&mut text, root, body);
                ("text/xml;charset=utf-8", text)
            }
        };
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        response
    }
}

/// `<name>…</name>`; a list is its element repeated.
fn write_xml(text: &mut String, name: &str, value: &Value) {
    if let Value::Array(items) = value {
        items.iter().for_each(|item| write_xml(text, name, item));
        return;
    }
    text.push_str(&format!("<{name}>"));
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| write_xml(text, name, value));
        }
        Value::String(content) => write_escaped(text, content),
        Value::Null | Value::Array(_) => {}
        other => text.push_str(&other.to_string()),
    }
    text.push_str(&format!("</{name}>"));
}

fn write_escaped(text: &mut String, content: &str) {
    for c in content.chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '\t' | '\n' => text.push(c),
            '\r' => text.push_str("&#13;"),
            // What XML 1.0 cannot hold.
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => text.push('\u{fffd}'),
            _ => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_repeat_their_item_in_xml() {
        let mut text = String::new();
        let answer = json!({
            "CasterList": { "Caster": [{ "Status": 1 }, { "CasterName": "a<b>&\u{1}\n" }] },
            "Total": 2,
        });
        write_xml(&mut text, "R", &answer);
        let expected = "<R><CasterList><Caster><Status>1</Status></Caster>\
                        <Caster><CasterName>a&lt;b&gt;&amp;\u{fffd}\n</CasterName></Caster>\
                        </CasterList><Total>2</Total></R>";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_form_that_is_asked_for() {
        let accepting = |accept: &'static str| {
            HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))])
        };
        for (parameter, scheme, accept, expected) in [
            (None, Scheme::V1, "*/*", Some(Format::Xml)),
            (Some(""), Scheme::V1, "", Some(Format::Xml)),
            (None, Scheme::V1, "application/json", Some(Format::Json)),
            (None, Scheme::V3, "", Some(Format::Json)),
            (Some("json"), Scheme::V1, "", Some(Format::Json)),
            (Some("JSON"), Scheme::V1, "", Some(Format::Json)),
            (Some("Xml"), Scheme::V3, "application/json", Some(Format::Xml)),
            (Some("yaml"), Scheme::V1, "", None),
        ] {
            let format = Format::asked(parameter, scheme, &accepting(accept)).ok();
            assert_eq!(format, expected, "{parameter:?} {scheme:?} {accept}");
        }
    }
}

//! What goes wrong, in the words of those who say it, and what is made of it.

use super::*;

/// As the library tells of an answer: what it is for it, and the text.
fn told(status: u16, body: &str) -> Error {
    let text = format!(
        "Error performing PUT http://127.0.0.1:9/shows/a%20b.mp4 in 3.1ms - Server returned \
         non-2xx status code: {status} It: {body}"
    );
    let (path, source) = ("a b.mp4".to_owned(), text.into());
    match status {
        403 => Error::PermissionDenied { path, source },
        404 => Error::NotFound { path, source },
        _ => Error::Generic { store: "S3", source },
    }
}

#[test]
fn what_may_pass_and_what_somebody_must_change() {
    let coded =
        |code: &str| format!("<Error><Code>{code}</Code><Message>So it is.</Message></Error>");
    let said = |code: &str| format!("{code}: So it is.");
    for (status, body, failure) in [
        (403, coded("InvalidAccessKeyId"), Failure::Refused(said("InvalidAccessKeyId"))),
        (403, coded("SignatureDoesNotMatch"), Failure::Refused(said("SignatureDoesNotMatch"))),
        (
            403,
            String::new(),
            Failure::Refused("the access key is not accepted, or may not do that".into()),
        ),
        (404, coded("NoSuchBucket"), Failure::Refused(said("NoSuchBucket"))),
        (404, coded("NoSuchUpload"), Failure::NotThere),
        (404, coded("NoSuchKey"), Failure::NotThere),
        (404, String::new(), Failure::NotThere),
        (400, coded("InvalidPart"), Failure::NotThere),
        (400, coded("KeyTooLongError"), Failure::Refused(said("KeyTooLongError"))),
        (400, coded("RequestTimeout"), Failure::Away(said("RequestTimeout"))),
        (503, coded("SlowDown"), Failure::Away(said("SlowDown"))),
        (500, coded("InternalError"), Failure::Away(said("InternalError"))),
    ] {
        assert_eq!(Failure::from(told(status, &body)), failure, "{status} {body}");
    }
    let text = "Error performing PUT http://127.0.0.1:9/shows/a.mp4 in 3ms - HTTP error: refused";
    let unreachable = Error::Generic { store: "S3", source: text.into() };
    assert_eq!(Failure::from(unreachable), Failure::Away("HTTP error: refused".into()));
}

#[test]
fn nothing_tells_the_secret() {
    let storage = Storage {
        endpoint: "http://127.0.0.1:9".into(),
        region: "us-east-1".into(),
        buckets: vec!["shows".into()],
        prefix: String::new(),
        key_id: "key".into(),
        key_secret: "hush".into(),
        style: BucketStyle::Path,
        keep_local: crate::config::KeepLocal::Always,
        ca: None,
    };
    let text = format!("{:?} {storage:?}", Buckets::open(&storage).unwrap());
    assert!(text.contains("shows") && !text.contains("hush"), "{text}");
}

#[test]
fn keys_may_have_what_names_of_files_have() {
    for (key, is_good) in
        [("a b/Sendung ü/1.mp4", true), ("{x}~[y]", true), ("a//b", false), ("a/../b", false)]
    {
        assert_eq!(path(key).map(|path| path.to_string()).ok().as_deref(), is_good.then_some(key));
    }
}

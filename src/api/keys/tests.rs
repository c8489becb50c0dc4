//! Keys: who is admitted, what is kept, what a change does to a server that runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::worker::{self, Outcome, StopToken};

struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        let path = std::env::temp_dir().join(format!("onair-keys-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("access-keys")
    }

    /// Writes the file as a person might.
    fn write(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
        fs::set_permissions(self.file(), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn only_the_pair_is_admitted() {
    let keys = AccessKeys::new("id", "secret").unwrap();
    for (id, secret, admitted) in [
        ("id", "secret", true),
        ("id", "secreT", false),
        ("iD", "secret", false),
        ("id", "", false),
        ("", "", false),
        ("id", "secret ", false),
    ] {
        let got = keys.admit(id, secret).map(|key| key.role());
        let expected = if admitted { Ok(Role::Admin) } else { Err(KeyProblem::Unknown) };
        assert_eq!(got, expected, "{id:?} {secret:?}");
    }
    let shown = format!("{keys:?} {:?}", keys.get("id").unwrap());
    assert!(shown.contains("id") && !shown.contains("secret"), "{shown}");
    for (id, secret) in [("", "s"), ("i", ""), ("i d", "s"), ("i", "s\n")] {
        assert!(AccessKeys::new(id, secret).is_err(), "{id:?} {secret:?}");
    }
}

#[test]
fn the_first_key_is_kept_and_private() {
    let dir = Dir::new();
    let made = AccessKeys::open(&dir.0, None).unwrap().admin().unwrap();
    let again = AccessKeys::open(&dir.0, None).unwrap();
    assert_eq!(again.admit(made.id(), made.secret()).unwrap().role(), Role::Admin);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.file()), 0o600);
    assert_eq!(mode(dir.0.join("access-keys.lock")), 0o600);
    fs::set_permissions(dir.file(), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(AccessKeys::open(&dir.0, None).is_err(), "others may read it");
}

#[test]
fn a_configured_key_is_an_admin_in_addition() {
    let dir = Dir::new();
    let keys = AccessKeys::open(&dir.0, Some(("me", "secret"))).unwrap();
    assert!(!dir.file().exists(), "nobody asked for a key");
    let made = KeyFile::of(&dir.0).make(Role::Viewer, Some("eye")).unwrap();
    keys.refresh();
    assert_eq!(keys.admin().unwrap().id(), "me");
    assert_eq!(keys.admit("me", "secret").unwrap().role(), Role::Admin);
    assert_eq!(keys.admit("eye", made.secret()).unwrap().role(), Role::Viewer);
}

#[test]
fn files_are_read_or_refused_whole() {
    let s = "sup3r";
    for (text, expected) in [
        ("a sup3r\n", Ok(("a", Role::Admin))),
        ("a sup3r operator active\n\n", Ok(("a", Role::Operator))),
        ("b x viewer active\na sup3r viewer active", Ok(("a", Role::Viewer))),
        ("a sup3r admin revoked\n", Err(KeyProblem::Revoked)),
        ("b sup3r admin active\n", Err(KeyProblem::Unknown)),
    ] {
        let dir = Dir::new();
        dir.write(text);
        let keys = AccessKeys::open(&dir.0, None).unwrap();
        let got = keys.get("a").map(|key| (key.id().to_owned(), key.role()));
        assert_eq!(got, expected.map(|(id, role)| (id.to_owned(), role)), "{text}");
    }
    for text in [
        "a\n",
        "a sup3r root active\n",
        "a sup3r admin gone\n",
        "a sup3r admin\n",
        "a sup3r admin active more\n",
        "a sup3r\na other\n",
        "a sup3r\u{e9}\n",
    ] {
        let dir = Dir::new();
        dir.write(text);
        let error = AccessKeys::open(&dir.0, None).unwrap_err().to_string();
        assert!(error.contains("line ") && !error.contains(s), "{text}: {error}");
    }
}

#[test]
fn a_change_holds_without_a_restart() {
    let dir = Dir::new();
    let file = KeyFile::of(&dir.0);
    let keys = AccessKeys::open(&dir.0, None).unwrap();
    let first = keys.admin().unwrap();
    let second = file.make(Role::Operator, None).unwrap();
    assert_eq!(keys.get(second.id()).unwrap_err(), KeyProblem::Unknown);
    keys.refresh();
    assert_eq!(keys.admit(second.id(), second.secret()).unwrap().role(), Role::Operator);
    file.revoke(second.id()).unwrap();
    file.revoke(second.id()).unwrap();
    keys.refresh();
    for secret in [second.secret(), "wrong"] {
        assert_eq!(keys.admit(second.id(), secret).unwrap_err(), KeyProblem::Revoked);
    }
    let refused = file.make(Role::Admin, Some(second.id())).unwrap_err().to_string();
    assert!(refused.contains("already"), "{refused}");
    assert!(file.make(Role::Admin, Some("two words")).is_err());
    assert!(file.revoke("nobody").unwrap_err().to_string().contains("nobody"));
    // What cannot be read changes nothing.
    for spoil in
        [|dir: &Dir| dir.write("nonsense\n"), |dir: &Dir| fs::remove_file(dir.file()).unwrap()]
    {
        spoil(&dir);
        keys.refresh();
        assert!(keys.admit(first.id(), first.secret()).is_ok());
        assert_eq!(keys.get(second.id()).unwrap_err(), KeyProblem::Revoked);
    }
}

#[test]
fn of_changes_at_once_none_is_lost() {
    let dir = Dir::new();
    let makers: Vec<_> = (0..4)
        .map(|maker| {
            let file = KeyFile::of(&dir.0);
            let body = move |_stop: StopToken| {
                for n in 0..5 {
                    file.make(Role::Viewer, Some(&format!("{maker}-{n}"))).unwrap();
                }
            };
            worker::spawn("maker", StopToken::new(), body).unwrap()
        })
        .collect();
    for maker in makers {
        assert_eq!(maker.join(), Outcome::Returned);
    }
    assert_eq!(KeyFile::of(&dir.0).keys().unwrap().len(), 20);
}

//! Letters wait in order, are bounded for each owner, and go when they are settled or cancelled.

use super::*;
use crate::limits::OUTBOX_PER_OWNER;

pub(super) fn letter(seq: u64, owner: &str, url: &str) -> Letter {
    let body = format!("{{\"n\":{seq}}}");
    Letter { seq, owner: owner.to_owned(), url: url.to_owned(), body, made_unix_ms: seq * 10 }
}

fn next(store: &Store, url: &str) -> Option<u64> {
    store.next_letter(url).unwrap().map(|letter| letter.seq)
}

#[test]
fn letters_wait_in_order_and_over_a_restart() {
    let dir = Dir::new();
    let mut store = Store::open(&dir.0).unwrap();
    let letters = [letter(7, "b", "u2"), letter(3, "a", "u1"), letter(5, "a", "u1")];
    store.write(&letters.clone().map(Entry::Letter)).unwrap();
    drop(store);
    let mut store = Store::open(&dir.0).unwrap();
    assert_eq!(store.receivers().unwrap(), ["u1", "u2"]);
    assert_eq!(store.last_letter().unwrap(), 7);
    assert_eq!(store.next_letter("u1").unwrap().as_ref(), Some(&letters[1]));
    store.write([&Entry::Settled { seq: 3 }]).unwrap();
    assert_eq!(store.next_letter("u1").unwrap().as_ref(), Some(&letters[2]));
    let keep = |url: &str| Some(url.to_owned());
    for (owner, keep_url, u1, u2) in [
        ("b", keep("u2"), Some(5), Some(7)),
        ("b", keep("u1"), Some(5), None),
        ("a", None, None, None),
    ] {
        store.write([&Entry::Cancelled { owner: owner.to_owned(), keep_url }]).unwrap();
        assert_eq!((next(&store, "u1"), next(&store, "u2")), (u1, u2), "{owner}");
    }
    assert_eq!(store.last_letter().unwrap(), 0);
}

#[test]
fn the_oldest_of_too_many_goes() {
    let dir = Dir::new();
    let mut store = Store::open(&dir.0).unwrap();
    let most = OUTBOX_PER_OWNER as u64;
    let letters: Vec<_> = (1..=most + 2).map(|n| Entry::Letter(letter(n, "a", "u"))).collect();
    assert_eq!(store.write(&letters[..OUTBOX_PER_OWNER]).unwrap(), 0);
    store.write([&Entry::Letter(letter(most + 9, "b", "v"))]).unwrap();
    assert_eq!(next(&store, "u"), Some(1));
    assert_eq!(store.write(&letters[OUTBOX_PER_OWNER..]).unwrap(), 2);
    assert_eq!((next(&store, "u"), next(&store, "v")), (Some(3), Some(most + 9)));
}

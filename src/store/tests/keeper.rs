//! Many writers at once: order is kept, one that fails hurts no other, what is answered is on disk.

use std::sync::Arc;

use super::outbox::letter;
use super::*;
use crate::ids::CasterId;
use crate::worker::{self, StopToken};

/// A caster of this revision.
fn caster(id: &str, revision: u64) -> Change {
    let model = Caster::clone(World::bare().the_caster());
    let id = CasterId::parse(id).unwrap();
    Change::Upsert(Arc::new(Caster { client_token: id.to_string(), id, revision, ..model }))
}

/// A store that refuses the caster `bad`.
fn store_with_a_rule(dir: &Dir) -> Store {
    let store = Store::open(&dir.0).unwrap();
    let rule = "CREATE TEMP TRIGGER rule BEFORE INSERT ON main.casters WHEN NEW.id = 'bad'
                BEGIN SELECT RAISE(ABORT, 'on purpose'); END;";
    store.connection.execute_batch(rule).unwrap();
    store
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_bad_write_hurts_no_other() {
    let dir = Dir::new();
    let keeper = Keeper::start(store_with_a_rule(&dir)).unwrap();
    let runtime = runtime();
    runtime.block_on(async {
        // While the thread reads, the writes gather; so they share a transaction.
        let (release, held) = std::sync::mpsc::sync_channel::<()>(0);
        let reading = keeper.read(move |_| {
            let _ = held.recv();
            Ok(())
        });
        let write = |id: &str| {
            let note = Entry::Letter(letter(id.len() as u64, id, "u"));
            keeper.write(vec![note, Entry::Change(caster(id, 1))])
        };
        let released = async move { drop(release) };
        let (_, one, bad, three, ()) =
            tokio::join!(reading, write("c"), write("bad"), write("good"), released);
        assert!(one.is_ok() && three.is_ok(), "{one:?} {three:?}");
        assert!(matches!(&bad, Err(StoreError::Database(e)) if e.to_string() == "on purpose"));
        let kept = keeper.read(|store| Ok((store.load()?, store.next_letter("u")?)));
        let (catalog, first) = kept.await.unwrap();
        let ids: Vec<_> = catalog.casters().map(|caster| caster.id.as_str()).collect();
        assert_eq!(ids, ["c", "good"]);
        // The letter of the bad write went with it: 1 is that of "c", 3 would be its.
        assert_eq!(first.map(|letter| letter.seq), Some(1));
        assert!(keeper.write(vec![Entry::Settled { seq: 1 }]).await.is_ok());
        let next = keeper.read(|store| store.next_letter("u")).await.unwrap();
        assert_eq!(next.map(|letter| letter.seq), Some(4));
    });
}

#[test]
fn many_writers_keep_their_order_and_what_is_answered_is_kept() {
    const WRITERS: u64 = 16;
    const WRITES: u64 = 25;
    let dir = Dir::new();
    let keeper = Arc::new(Keeper::start(Store::open(&dir.0).unwrap()).unwrap());
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            let keeper = keeper.clone();
            let write = move |_| {
                runtime().block_on(async {
                    for revision in 1..=WRITES {
                        let change = Entry::Change(caster(&format!("c{n}"), revision));
                        keeper.write(vec![change]).await.unwrap();
                        assert!(keeper.offer(vec![Entry::Letter(letter(
                            n * WRITES + revision,
                            "o",
                            "u"
                        ))]));
                    }
                });
            };
            worker::spawn("writer", StopToken::new(), write).unwrap()
        })
        .collect();
    for writer in writers {
        assert_eq!(writer.join(), worker::Outcome::Returned);
    }
    // Dropped, it has finished what was offered.
    drop(Arc::try_unwrap(keeper).unwrap());
    let store = Store::open(&dir.0).unwrap();
    let catalog = store.load().unwrap();
    assert_eq!(catalog.len() as u64, WRITERS);
    assert!(catalog.casters().all(|caster| caster.revision == WRITES));
    assert_eq!(store.last_letter().unwrap(), WRITERS * WRITES);
}

#[test]
fn a_closed_store_says_so() {
    let dir = Dir::new();
    let keeper = Keeper::start(Store::open(&dir.0).unwrap()).unwrap();
    runtime().block_on(async {
        let broken = keeper.read(|_| -> Result<(), StoreError> { panic!("on purpose") }).await;
        assert!(matches!(broken, Err(StoreError::Closed)), "{broken:?}");
        let refused = keeper.write(vec![Entry::Change(caster("c", 1))]).await;
        assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
    });
}

//! Tests of the store: what is saved comes back, whatever happens to the process.

mod keeper;
mod outbox;
mod uploads;

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::catalog::Call;
use crate::catalog::tests::World;
use crate::catalog::tests::property::{call_of, steps};

/// A directory of its own, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        Dir(std::env::temp_dir().join(format!("onair-store-{}", uuid::Uuid::new_v4())))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn save_all(store: &mut Store, catalog: &Catalog) {
    for caster in catalog.casters() {
        store.save(&Change::Upsert(caster.clone())).unwrap();
    }
}

#[test]
fn what_is_saved_comes_back() {
    for world in [World::bare(), World::ready(), World::on_air()] {
        let dir = Dir::new();
        let mut store = Store::open(&dir.0).unwrap();
        assert_eq!(store.load().unwrap(), Catalog::default());
        save_all(&mut store, &world.catalog);
        assert_eq!(store.load().unwrap(), world.catalog);
        drop(store);
        let mut store = Store::open(&dir.0).unwrap();
        assert_eq!(store.load().unwrap(), world.catalog);
        let id = world.the_caster().id.clone();
        store.save(&Change::Delete(id)).unwrap();
        assert_eq!(store.load().unwrap(), Catalog::default());
    }
}

#[test]
fn one_process_at_a_time() {
    let dir = Dir::new();
    let store = Store::open(&dir.0).unwrap();
    assert!(matches!(Store::open(&dir.0), Err(StoreError::InUse(_))));
    drop(store);
    Store::open(&dir.0).unwrap();
}

#[test]
fn a_later_schema_is_left_alone() {
    let dir = Dir::new();
    drop(Store::open(&dir.0).unwrap());
    let raw = Connection::open(dir.0.join(FILE_NAME)).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    let refused = Store::open(&dir.0).unwrap_err();
    assert!(matches!(refused, StoreError::TooNew { found: 99, .. }), "{refused}");
}

#[test]
fn a_file_of_the_first_schema_is_brought_up_to_date() {
    let dir = Dir::new();
    let world = World::on_air();
    std::fs::create_dir_all(&dir.0).unwrap();
    let raw = Connection::open(dir.0.join(FILE_NAME)).unwrap();
    raw.execute_batch(MIGRATIONS[0]).unwrap();
    raw.pragma_update(None, "user_version", 1).unwrap();
    let caster = world.the_caster();
    let sql = "INSERT INTO casters (id, body) VALUES (?1, ?2)";
    raw.execute(sql, params![caster.id.as_str(), rows::encode(caster)]).unwrap();
    drop(raw);
    let store = Store::open(&dir.0).unwrap();
    assert_eq!(store.load().unwrap(), world.catalog);
    assert_eq!(store.receivers().unwrap(), Vec::<String>::new());
}

#[test]
fn a_row_of_before_there_were_looks_is_plain() {
    let world = World::on_air();
    let caster = world.the_caster();
    let mut body: serde_json::Value = serde_json::from_str(&rows::encode(caster)).unwrap();
    for layout in body["layouts"].as_array_mut().unwrap() {
        layout.as_object_mut().unwrap().remove("backdrop").unwrap();
        for layer in layout["video"].as_array_mut().unwrap() {
            layer.as_object_mut().unwrap().remove("look").unwrap();
        }
    }
    let text = body["components"][0]["content"].as_object_mut().unwrap();
    text.remove("background").unwrap();
    assert_eq!(rows::decode(caster.id.as_str(), &body.to_string()).unwrap(), *caster);
}

#[test]
fn a_damaged_row_is_named() {
    for body in ["", "{}", "{\"revision\": -1}"] {
        let dir = Dir::new();
        let store = Store::open(&dir.0).unwrap();
        let sql = "INSERT INTO casters (id, body) VALUES ('c1', ?1)";
        store.connection.execute(sql, params![body]).unwrap();
        let refused = store.load().unwrap_err();
        assert!(matches!(&refused, StoreError::Damaged { id, .. } if id == "c1"), "{refused}");
    }
}

#[test]
fn files_copied_in_mid_write_open_as_of_the_last_save() {
    // What a kill leaves behind is the files as they are, with the journal not yet folded in.
    let dir = Dir::new();
    let mut store = Store::open(&dir.0).unwrap();
    let mut world = World::ready();
    save_all(&mut store, &world.catalog);
    let caster_id = world.caster.clone();
    world.ok(Call::StartCaster { caster_id });
    save_all(&mut store, &world.catalog);
    let unsaved = store.connection.unchecked_transaction().unwrap();
    unsaved.execute("DELETE FROM casters", []).unwrap();
    let copy = Dir::new();
    std::fs::create_dir_all(&copy.0).unwrap();
    for entry in std::fs::read_dir(&dir.0).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.0.join(entry.file_name())).unwrap();
    }
    let mut journal = copy.0.join(FILE_NAME).into_os_string();
    journal.push("-wal");
    assert!(std::fs::metadata(journal).unwrap().len() > 0, "the journal holds the saves");
    assert_eq!(Store::open(&copy.0).unwrap().load().unwrap(), world.catalog);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20) })]
    #[test]
    fn whatever_the_rules_accept_can_be_kept(steps in steps(40)) {
        let mut world = World::ready();
        for step in &steps {
            let call = call_of(&world, step);
            // Refusals are as good: they leave the state as it was.
            let _ = world.call(call);
        }
        for caster in world.catalog.casters() {
            let body = rows::encode(caster);
            prop_assert_eq!(&rows::decode(caster.id.as_str(), &body).unwrap(), &**caster);
        }
    }
}

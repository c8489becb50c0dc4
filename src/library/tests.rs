//! Tests of the library on a real directory: what comes, stays, goes, and what a crash leaves.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::{Bounds, Item, Kind, Library, LibraryError, LibraryStats};
use crate::frame::Size;
use crate::limits;
use crate::media::encode::testing::{Dir, tool_output};
use crate::worker::StopToken;

const ROOMY: Bounds = Bounds { upload_bytes: 1 << 20, reserve_bytes: 0 };

fn open(dir: &Dir, bounds: Bounds) -> Arc<Library> {
    Arc::new(Library::open(dir.0.join("library"), bounds).unwrap())
}

/// A real PNG of this colour.
fn png(color: &str) -> Vec<u8> {
    // The filter itself makes even sides only.
    let source = format!("color={color}:size=64x64,format=rgb24,scale=3:2");
    let args = ["-f", "lavfi", "-i", &source, "-frames:v", "1", "-f", "image2pipe", "-c", "png"];
    tool_output("ffmpeg", &[&args[..], &["-"]].concat())
}

fn add(library: &Arc<Library>, name: &str, bytes: &[u8]) -> Result<Arc<Item>, LibraryError> {
    let mut upload = library.begin(Some(name), None)?;
    // In pieces, so that the head comes in more than one.
    bytes.chunks(7).try_for_each(|piece| upload.write(piece))?;
    upload.finish(&StopToken::new())
}

fn entries(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Directories of items, and what lies in `incoming/`.
fn on_disk(dir: &Dir) -> (Vec<String>, Vec<String>) {
    let root = dir.0.join("library");
    let mut items = entries(&root);
    items.retain(|name| name != "incoming");
    (items, entries(&root.join("incoming")))
}

#[test]
fn the_same_content_is_kept_once_and_survives_a_restart() {
    let dir = Dir::new();
    let (red, blue) = (png("red"), png("blue"));
    let library = open(&dir, ROOMY);
    let first = add(&library, "red.png", &red).unwrap();
    let again = add(&library, "crimson.png", &red).unwrap();
    assert_eq!(first, again);
    let second = add(&library, "blue.png", &blue).unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!((first.kind, first.size, first.duration_ms), (Kind::Image, Size::new(3, 2), 0));
    assert_eq!((first.name.as_str(), first.bytes), ("red.png", red.len() as u64));
    assert_eq!((first.id.len(), first.sha256.len()), (32, 64));
    assert_eq!(fs::read(library.path(&first.id).unwrap()).unwrap(), red);
    let mut hashes = [first.sha256.clone(), second.sha256.clone()];
    hashes.sort();
    assert_eq!(on_disk(&dir), (hashes.to_vec(), vec![]));
    let bytes = (red.len() + blue.len()) as u64;
    let stats = LibraryStats { items: 2, bytes, uploads: 3, uploads_failed: 0 };
    assert_eq!(library.stats(), stats);
    drop(library);
    let library = open(&dir, ROOMY);
    assert_eq!(library.find(&first.id), Some(first.clone()));
    assert_eq!(library.find(&second.id), Some(second));
    assert_eq!(add(&library, "x", &red).unwrap().id, first.id);
}

#[test]
fn pages_are_of_the_newest_first() {
    let dir = Dir::new();
    let library = open(&dir, ROOMY);
    let mut all: Vec<Arc<Item>> =
        ["red", "green", "blue"].map(|color| add(&library, color, &png(color)).unwrap()).into();
    all.sort_by(|a, b| (b.created_unix_ms, &b.id).cmp(&(a.created_unix_ms, &a.id)));
    for (num, size, want) in [(1, 2, &all[..2]), (2, 2, &all[2..]), (3, 2, &[]), (1, 100, &all)] {
        assert_eq!(library.list(num, size), (3, want.to_vec()), "page {num} of {size}");
    }
}

#[test]
fn what_is_used_stays_and_what_is_deleted_is_gone() {
    let dir = Dir::new();
    let library = open(&dir, ROOMY);
    let item = add(&library, "a", &png("red")).unwrap();
    let used = library.delete(&item.id, &|id| {
        // Nobody new can find it meanwhile, but who plays it already still can open it.
        assert_eq!((library.find(id), library.list(1, 9).0), (None, 0));
        assert!(library.path(id).is_some_and(|path| path.is_file()));
        true
    });
    assert!(matches!(used, Err(LibraryError::InUse)), "{used:?}");
    assert_eq!(library.find(&item.id), Some(item.clone()));
    library.delete(&item.id, &|_| false).unwrap();
    assert_eq!((library.find(&item.id), library.path(&item.id)), (None, None));
    assert_eq!(on_disk(&dir), (vec![], vec![]));
    let gone = library.delete(&item.id, &|_| false);
    assert!(matches!(gone, Err(LibraryError::NotFound)), "{gone:?}");
    // What comes again comes under another id.
    assert_ne!(add(&library, "a", &png("red")).unwrap().id, item.id);
}

#[test]
fn what_is_refused_leaves_nothing() {
    let dir = Dir::new();
    let red = png("red");
    let tight = Bounds { upload_bytes: red.len() as u64 - 1, ..ROOMY };
    let full = Bounds { reserve_bytes: u64::MAX, ..ROOMY };
    let mut broken = red.clone();
    broken.truncate(red.len() / 2);
    for (bounds, name, bytes, code) in [
        (ROOMY, "a", &b""[..], "InvalidMedia.Empty"),
        (ROOMY, "a", b"hello", "InvalidMedia.Format"),
        (ROOMY, "a", &[b'x'; 5000], "InvalidMedia.Format"),
        (ROOMY, "a", &broken, "InvalidMedia.Content"),
        (ROOMY, "a", b"FLV\x01\x05\0\0\0\x09", "InvalidMedia.Content"),
        (ROOMY, "", &red, "InvalidName.Malformed"),
        (ROOMY, "a\nb", &red, "InvalidName.Malformed"),
        (ROOMY, &"n".repeat(limits::MAX_NAME_BYTES + 1), &red, "InvalidName.Malformed"),
        (tight, "a", &red, "InvalidMedia.TooLarge"),
        (full, "a", &red, "InsufficientStorage"),
    ] {
        let library = open(&dir, bounds);
        let refused = add(&library, name, bytes).unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert_eq!(on_disk(&dir), (vec![], vec![]), "{refused}");
        assert_eq!(library.list(1, 10), (0, vec![]));
        assert_eq!(library.stats(), LibraryStats { uploads_failed: 1, ..Default::default() });
    }
    let library = open(&dir, tight);
    for declared in [tight.upload_bytes + 1, u64::MAX] {
        let refused = library.begin(None, Some(declared)).unwrap_err();
        assert_eq!(refused.code(), "InvalidMedia.TooLarge");
    }
    let stopped = StopToken::new();
    stopped.stop();
    let library = open(&dir, ROOMY);
    let mut upload = library.begin(None, None).unwrap();
    upload.write(&red).unwrap();
    assert_eq!(upload.finish(&stopped).unwrap_err().code(), "ServiceUnavailable");
    assert_eq!(on_disk(&dir), (vec![], vec![]));
}

#[test]
fn so_many_uploads_at_once_and_no_more() {
    let dir = Dir::new();
    let library = open(&dir, ROOMY);
    let begin = || library.begin(None, None);
    let mut under_way: Vec<_> = (0..limits::UPLOADS_AT_ONCE).map(|_| begin().unwrap()).collect();
    assert!(matches!(begin(), Err(LibraryError::Busy)));
    assert_eq!(on_disk(&dir).1.len(), limits::UPLOADS_AT_ONCE);
    drop(under_way.pop());
    assert_eq!(on_disk(&dir).1.len(), limits::UPLOADS_AT_ONCE - 1);
    under_way.push(begin().unwrap());
    drop(under_way);
    assert_eq!(on_disk(&dir).1, Vec::<String>::new());
}

#[test]
fn a_start_sweeps_what_a_crash_left_and_leaves_out_what_is_not_whole() {
    let dir = Dir::new();
    let library = open(&dir, ROOMY);
    let keep = ["red", "green", "blue", "white"];
    let [red, green, blue, white] = keep.map(|color| add(&library, color, &png(color)).unwrap());
    let begun = library.begin(None, None).unwrap();
    // A crash drops nothing.
    std::mem::forget(begun);
    let root = dir.0.join("library");
    fs::create_dir(root.join("incoming/0123.gone")).unwrap();
    fs::write(root.join("incoming/0123.gone/content.png"), "half of it").unwrap();
    drop(library);
    fs::write(root.join(&green.sha256).join("content.png"), "shorter").unwrap();
    fs::write(root.join(&blue.sha256).join("item.json"), "{").unwrap();
    let sidecar = root.join(&white.sha256).join("item.json");
    let text = fs::read_to_string(&sidecar).unwrap();
    fs::write(&sidecar, text.replace("content.png", "../../../etc/passwd")).unwrap();
    let library = open(&dir, ROOMY);
    assert_eq!(library.list(1, 10), (1, vec![red.clone()]));
    assert_eq!(on_disk(&dir).1, Vec::<String>::new());
    // Content whose place is taken by what is not whole comes back whole.
    let again = add(&library, "green", &png("green")).unwrap();
    assert_eq!(fs::read(&again.path).unwrap(), png("green"));
    assert_eq!(open(&dir, ROOMY).list(1, 10).0, 2);
}

#[test]
fn damage_anywhere_is_refused_or_harmless() {
    const INPUT: &str =
        "-y -f lavfi -i testsrc2=size=64x48:rate=25:duration=2 -f lavfi -i sine=d=2";
    const CODECS: &str = "-c:v libx264 -preset ultrafast -g 10 -c:a aac";
    let dir = Dir::new();
    let library = open(&dir, ROOMY);
    let mut refused = 0;
    for (seed, name) in (1_u64..).zip(["a.mp4", "b.flv", "c.ts", "d.mkv", "e.avi", "f.mpg"]) {
        let path = dir.0.join(name).display().to_string();
        let codecs = if name == "f.mpg" { "-c:v mpeg2video" } else { CODECS };
        let args: Vec<&str> = INPUT.split(' ').chain(codecs.split(' ')).collect();
        tool_output("ffmpeg", &[&args[..], &[path.as_str()]].concat());
        let whole = fs::read(&path).unwrap();
        // Knuth's MMIX generator: the same damage each time.
        let mut state = seed;
        let mut chance = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for round in 0..12 {
            let mut bytes = whole.clone();
            // Mostly at the begin, where containers say what follows.
            for _ in 0..1 + round * 2 {
                let reach = if chance(2) == 0 { bytes.len().min(2000) } else { bytes.len() };
                let at = chance(reach);
                bytes[at] = chance(256) as u8;
            }
            match add(&library, name, &bytes) {
                Ok(item) => library.delete(&item.id, &|_| false).unwrap(),
                Err(LibraryError::Unusable(_) | LibraryError::Foreign) => refused += 1,
                Err(error) => panic!("{name} round {round}: {error}"),
            }
            assert_eq!(on_disk(&dir), (vec![], vec![]), "{name} round {round}");
        }
    }
    assert!(refused > 6, "only {refused} were refused");
}

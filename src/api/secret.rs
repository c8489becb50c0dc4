//! Secrets: made from the system's entropy, kept in files that only the owner may read.
//!
//! Must not know what they open. Invariant: a secret file is whole or absent, never readable by others.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// `2 * bytes` random hexadecimal digits.
///
/// # Errors
/// When the system has no entropy.
pub(super) fn random_hex(bytes: usize) -> io::Result<String> {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer).map_err(io::Error::other)?;
    Ok(hex(&buffer))
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
        text
    })
}

/// The text of the file, or, when there is none, what `make` gives, kept there (mode 0600).
///
/// # Errors
/// When the file cannot be read or written, or others may read it.
pub(super) fn load_or_make(
    path: &Path,
    make: impl FnOnce() -> io::Result<String>,
) -> io::Result<String> {
    if let Some(text) = read(path)? {
        return Ok(text);
    }
    let text = make()?;
    write_whole(path, &text)?;
    Ok(text)
}

/// The text of the file; `None` when there is none.
///
/// # Errors
/// When the file cannot be read, or others may read it.
pub(super) fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::metadata(path) {
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} holds a secret and must have mode 0600", path.display()),
        )),
        Ok(_) => fs::read_to_string(path).map(Some),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Puts a file of this text (mode 0600) in the place of the one that may be there; it is on disk on return. One
/// writer at a time.
///
/// # Errors
/// When it cannot be written; what was there is there still.
pub(super) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(dir)?;
    let partial = path.with_extension("new");
    // Left over from a write that was cut short.
    match fs::remove_file(&partial) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    File::open(dir)?.sync_all()
}

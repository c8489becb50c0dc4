//! `onair key`: the access keys of a data directory, made, listed and revoked.
//!
//! Must not know how they are kept. Invariant: the secret of an access key is printed once, when it is made; the key that
//! callbacks are signed with, which receivers share, whenever it is asked for.

use std::path::Path;

use crate::api::events::CallbackKey;
use crate::api::keys::KeyFile;
use crate::config::{KeyCommand, Place};

/// Carries out the command.
///
/// # Errors
/// One line that says what is wrong; nothing was changed then.
pub fn key(command: KeyCommand) -> Result<(), String> {
    match command {
        KeyCommand::Make { role, id, place } => {
            let data_dir = place.data_dir()?;
            let role = role.parse()?;
            let made = KeyFile::of(&data_dir).make(role, id.as_deref());
            let key = made.map_err(|error| problem(&data_dir, &error))?;
            println!("id     {}\nsecret {}", key.id(), key.secret());
        }
        KeyCommand::List { place } => {
            let (file, data_dir) = existing(place)?;
            for kept in file.keys().map_err(|error| problem(&data_dir, &error))? {
                println!("{} {} {}", kept.key.id(), kept.key.role(), kept.state.as_str());
            }
        }
        KeyCommand::Callback { place } => {
            let data_dir = place.data_dir()?;
            let key = CallbackKey::load_or_make(&data_dir);
            let key = key.map_err(|error| format!("the callback key: {error}"))?;
            println!("{}", key.secret());
        }
        KeyCommand::Revoke { id, place } => {
            let (file, data_dir) = existing(place)?;
            file.revoke(&id).map_err(|error| problem(&data_dir, &error))?;
            println!("{id} is revoked");
        }
    }
    Ok(())
}

/// The keys of a data directory that must be there: a slip of the pen should not look like a server without keys.
fn existing(place: Place) -> Result<(KeyFile, std::path::PathBuf), String> {
    let data_dir = place.data_dir()?;
    if !data_dir.is_dir() {
        return Err(format!("there is no data directory {}", data_dir.display()));
    }
    Ok((KeyFile::of(&data_dir), data_dir))
}

fn problem(data_dir: &Path, error: &std::io::Error) -> String {
    format!("the access keys in {}: {error}", data_dir.display())
}

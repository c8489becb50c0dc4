//! What a recording consists of, to be read: from the disk, or from object storage when it is there no longer.
//!
//! Must not know who reads. Invariant: whoever reads a piece takes the memory of a few chunks, however large it is.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use tokio::sync::mpsc;

use super::{Recordings, internal};
use crate::api::bucket::Failure;
use crate::api::recordings::{Chunks, Content, Piece, not_found};
use crate::app::uploads::{ObjectPlace, Uploads};
use crate::catalog::{ErrorCode, Refused};
use crate::limits::{PLAYER_CHUNKS, RECORDING_READ_BYTES};
use crate::output;
use crate::recording::{Recording, RecordingState};

/// The name of a piece, whose names end in the main file's.
fn named(mut names: Vec<String>, piece: Piece) -> Option<String> {
    let main = names.pop()?;
    match piece {
        Piece::Main => Some(main),
        Piece::Segment(number) => names.into_iter().nth(number),
    }
}

impl Recordings {
    /// A piece of a recording that is not written any more.
    pub(super) async fn open_piece(
        &self,
        recording: &Recording,
        piece: Piece,
    ) -> Result<Content, Refused> {
        if recording.state == RecordingState::Recording {
            return Err(not_found());
        }
        let (dir, name, format) = (self.dir.clone(), recording.name.clone(), recording.format);
        let opened = tokio::task::spawn_blocking(move || {
            let names = output::recording_files(&dir, &name, format)?;
            let Some(name) = named(names, piece) else { return Ok(None) };
            open_file(dir.join(name)).map(Some)
        });
        match (opened.await.map_err(internal)?, &self.uploads) {
            (Ok(content), _) => content.ok_or_else(not_found),
            (Err(error), Some(uploads))
                if error.kind() == io::ErrorKind::NotFound
                    && recording.state == RecordingState::Stored =>
            {
                open_object(uploads, recording, piece).await
            }
            (Err(error), _) if error.kind() == io::ErrorKind::NotFound => Err(not_found()),
            (Err(error), _) => Err(internal(error)),
        }
    }
}

fn open_file(path: PathBuf) -> io::Result<Content> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    Ok(Content::new(bytes, move |first, count| {
        let (chunks, content) = mpsc::channel(PLAYER_CHUNKS);
        tokio::task::spawn_blocking(move || {
            let mut left = count;
            let mut seek = Some(first);
            let mut read = || {
                if let Some(first) = seek.take() {
                    file.seek(SeekFrom::Start(first))?;
                }
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(RECORDING_READ_BYTES);
                let mut chunk = vec![0; most];
                file.read_exact(&mut chunk)?;
                left -= most as u64;
                Ok::<_, io::Error>((chunk, left))
            };
            let mut is_over = count == 0;
            while !is_over {
                let chunk = read();
                is_over = !matches!(chunk, Ok((_, left)) if left > 0);
                // A client that has left wants no more.
                is_over |= chunks.blocking_send(chunk.map(|(chunk, _)| chunk.into())).is_err();
            }
        });
        content
    }))
}

async fn open_object(
    uploads: &Uploads,
    recording: &Recording,
    piece: Piece,
) -> Result<Content, Refused> {
    let told = |failure: Failure| match failure {
        Failure::NotThere => not_found(),
        failure => {
            let message = format!("The object storage does not answer as it should: {failure}");
            Refused::new(ErrorCode::Internal, message)
        }
    };
    let place = ObjectPlace::of(recording).ok_or_else(not_found)?;
    let bucket = uploads.bucket(&place).ok_or_else(not_found)?.clone();
    let names = match piece {
        Piece::Main => vec![recording.name.clone()],
        Piece::Segment(_) => uploads.stored_names(recording, &bucket).await.map_err(told)?,
    };
    let key = place.key(&named(names, piece).ok_or_else(not_found)?);
    let facts = bucket.facts(&key).await.map_err(told)?.ok_or_else(not_found)?;
    Ok(Content::new(facts.bytes, move |first, count| {
        let (chunks, content): (_, Chunks) = mpsc::channel(PLAYER_CHUNKS);
        tokio::spawn(async move {
            let read = bucket.read(&key, first..first + count, &chunks).await;
            if let Err(failure) = read {
                // A client that has left wants no more.
                let _ = chunks.send(Err(io::Error::other(failure))).await;
            }
        });
        content
    }))
}

//! The media library as the edges offer it: who may do what with it, and what both of them check.
//!
//! Must not know a wire. Invariant: nothing is added or removed but for an admin's key.

use std::fmt;
use std::sync::Arc;

use super::keys::{AccessKey, Role};
use crate::catalog::{ErrorCode, Refused};
use crate::library::{Item, Library, LibraryError};
use crate::limits::MAX_PAGE_SIZE;

/// Whether a caster names the item of this id. May block for a moment; must not ask the library to delete anything.
pub type InUse = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Items of a page when the client does not say how many.
const DEFAULT_PAGE_SIZE: i64 = 10;

/// The library and who knows what is used of it. Cheap to clone.
#[derive(Clone)]
pub struct Media {
    pub(super) library: Arc<Library>,
    in_use: InUse,
}

impl Media {
    /// The library, with the question that is asked before something is deleted.
    pub fn new(library: Arc<Library>, in_use: InUse) -> Media {
        Media { library, in_use }
    }

    /// Checks that the bearer of a key may do what needs `least`.
    pub(super) fn admit(key: &AccessKey, least: Role) -> Result<(), Refused> {
        match key.role() >= least {
            true => Ok(()),
            false => Err(ErrorCode::IllegalOperation.into()),
        }
    }

    /// A page of the library, with its number and size as they were understood; 0 asks for the default.
    pub(super) fn list(&self, page_num: i64, page_size: i64) -> Result<Page, Refused> {
        let (num, size) = page(page_num, page_size)?;
        let (total, items) = self.library.list(num, size);
        Ok(Page { total, num, size, items })
    }

    /// The item of this id.
    pub(super) fn describe(&self, id: &str) -> Result<Arc<Item>, LibraryError> {
        self.library.find(id).ok_or(LibraryError::NotFound)
    }

    /// Deletes the item of this id unless it is used.
    pub(super) async fn delete(&self, id: String) -> Result<(), LibraryError> {
        let Media { library, in_use } = self.clone();
        let deleted = tokio::task::spawn_blocking(move || library.delete(&id, &*in_use)).await;
        deleted.unwrap_or_else(|broken| Err(LibraryError::Io(std::io::Error::other(broken))))
    }
}

/// Number and size of the page that is asked for; 0 asks for the default.
pub(super) fn page(page_num: i64, page_size: i64) -> Result<(usize, usize), Refused> {
    let default = |asked: i64, default: i64| if asked == 0 { default } else { asked };
    let within = |value: i64, most: usize, code: ErrorCode| {
        let value = usize::try_from(value).ok().filter(|value| (1..=most).contains(value));
        value.ok_or_else(|| Refused::from(code))
    };
    let num = within(default(page_num, 1), i32::MAX as usize, ErrorCode::PageNumMalformed)?;
    let size = default(page_size, DEFAULT_PAGE_SIZE);
    Ok((num, within(size, MAX_PAGE_SIZE, ErrorCode::PageSizeMalformed)?))
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Media").field("library", &self.library).finish_non_exhaustive()
    }
}

/// A page of items.
pub(super) struct Page {
    /// Items of all pages.
    pub(super) total: usize,
    pub(super) num: usize,
    pub(super) size: usize,
    pub(super) items: Vec<Arc<Item>>,
}

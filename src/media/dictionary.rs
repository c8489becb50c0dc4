//! Options as FFmpeg takes them: names and values.
//!
//! Must not know what they mean. Invariant: it is freed once, whatever FFmpeg made of it.
#![expect(
    unsafe_code,
    reason = "FFmpeg's dictionaries have no safe interface that tells what was left"
)]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::ptr;

use ffmpeg_next::ffi;

pub(super) struct Dictionary(*mut ffi::AVDictionary);

impl Dictionary {
    pub(super) fn of(options: &BTreeMap<&str, String>) -> Dictionary {
        let mut dict = Dictionary(ptr::null_mut());
        for (key, value) in options {
            if let (Ok(key), Ok(value)) = (CString::new(*key), CString::new(value.as_str())) {
                // SAFETY: both are copied.
                unsafe { ffi::av_dict_set(&mut dict.0, key.as_ptr(), value.as_ptr(), 0) };
            }
        }
        dict
    }

    /// As FFmpeg takes it; what it did not know stays in it.
    pub(super) fn as_mut(&mut self) -> *mut *mut ffi::AVDictionary {
        &raw mut self.0
    }
}

impl Drop for Dictionary {
    fn drop(&mut self) {
        // SAFETY: owned; null is fine.
        unsafe { ffi::av_dict_free(&mut self.0) };
    }
}

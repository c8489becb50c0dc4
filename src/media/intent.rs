//! How a picture is meant to be seen: which way up, and how wide its pixels are.
//!
//! Reads what containers and frames say about that. Must not know decoders. Invariant: what cannot be made sense of counts
//! as not said.
#![expect(unsafe_code, reason = "reads FFmpeg's side data")]

use ffmpeg_next::ffi::{
    self, AVFrame, AVFrameSideDataType, AVPacketSideDataType, AVRational, AVStream,
};

use crate::frame::Picture;
use crate::limits::MAX_PIXEL_ASPECT;
use crate::shot::Turn;

/// What a stream or a frame says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Intent {
    turn: Option<Turn>,
    /// Width to height of a pixel.
    pixel_aspect: Option<(u32, u32)>,
}

/// An FFmpeg display matrix: positions (x, y) on the picture become (a·x + c·y + …, b·x + d·y + …), y downwards.
type DisplayMatrix = [i32; 9];

impl Intent {
    /// What a container says of a stream.
    ///
    /// # Safety
    /// The stream must be one of an open container.
    pub(super) unsafe fn of_stream(stream: *const AVStream) -> Intent {
        let kind = AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX;
        let mut size = 0;
        // SAFETY: the caller vouches for the stream; side data has as many bytes as it says.
        let (matrix, aspect) = unsafe {
            let data = ffi::av_stream_get_side_data(stream, kind, &mut size);
            (matrix_at(data, size), (*stream).sample_aspect_ratio)
        };
        Intent { turn: matrix.and_then(turn_of), pixel_aspect: ratio_of(aspect) }
    }

    /// What a frame says itself.
    ///
    /// # Safety
    /// The frame must be valid.
    pub(super) unsafe fn of_frame(frame: *const AVFrame) -> Intent {
        let kind = AVFrameSideDataType::AV_FRAME_DATA_DISPLAYMATRIX;
        // SAFETY: the caller vouches for the frame; side data has as many bytes as it says.
        let (matrix, aspect) = unsafe {
            let data = ffi::av_frame_get_side_data(frame, kind).as_ref();
            (data.and_then(|d| matrix_at(d.data, d.size)), (*frame).sample_aspect_ratio)
        };
        Intent { turn: matrix.and_then(turn_of), pixel_aspect: ratio_of(aspect) }
    }

    /// What is said here, else there.
    pub(super) fn or(self, other: Intent) -> Intent {
        Intent {
            turn: self.turn.or(other.turn),
            pixel_aspect: self.pixel_aspect.or(other.pixel_aspect),
        }
    }

    /// The picture as it is meant; what is not said is as usual.
    pub(super) fn shape(self, picture: Picture) -> Picture {
        picture.with_shape(self.turn.unwrap_or_default(), self.pixel_aspect.unwrap_or((1, 1)))
    }
}

/// # Safety
/// `data` must have so many bytes, or be null.
unsafe fn matrix_at(data: *const u8, bytes: usize) -> Option<DisplayMatrix> {
    let is_there = !data.is_null() && bytes >= size_of::<DisplayMatrix>();
    // SAFETY: checked just now; read without regard to alignment.
    is_there.then(|| unsafe { data.cast::<DisplayMatrix>().read_unaligned() })
}

/// The nearest way up; none if the matrix has no area.
fn turn_of([a, b, _, c, d, ..]: DisplayMatrix) -> Option<Turn> {
    let [a, b, c, d] = [a, b, c, d].map(i64::from);
    let area = a * d - b * c;
    // Where down goes; a picture that is mirrored first has the same down.
    let turn = match (c.abs() > d.abs(), c > 0, d > 0) {
        (false, _, true) => Turn::clockwise(0),
        (true, false, _) => Turn::clockwise(1),
        (false, _, false) => Turn::clockwise(2),
        (true, true, _) => Turn::clockwise(3),
    };
    match area {
        0 => None,
        1.. => Some(turn),
        _ => Some(turn.of_mirrored()),
    }
}

fn ratio_of(ratio: AVRational) -> Option<(u32, u32)> {
    let (width, height) = (u32::try_from(ratio.num).ok()?, u32::try_from(ratio.den).ok()?);
    let limit = |side: u32| side.saturating_mul(MAX_PIXEL_ASPECT);
    (width > 0 && width <= limit(height) && height <= limit(width)).then_some((width, height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_matrices_are_turns() {
        // Degrees clockwise; what was turned is flipped.
        for (degrees, flips, want) in [
            (0.0, (0, 0), Turn::NONE),
            (90.0, (0, 0), Turn::clockwise(1)),
            (85.0, (0, 0), Turn::clockwise(1)),
            (180.0, (0, 0), Turn::clockwise(2)),
            (-90.0, (0, 0), Turn::clockwise(3)),
            (0.0, (1, 0), Turn::NONE.of_mirrored()),
            (0.0, (0, 1), Turn::clockwise(2).of_mirrored()),
            (0.0, (1, 1), Turn::clockwise(2)),
            (90.0, (1, 0), Turn::clockwise(3).of_mirrored()),
        ] {
            let mut matrix: DisplayMatrix = [0; 9];
            // SAFETY: the matrix has nine numbers.
            unsafe {
                ffi::av_display_rotation_set(matrix.as_mut_ptr(), degrees);
                ffi::av_display_matrix_flip(matrix.as_mut_ptr(), flips.0, flips.1);
            }
            assert_eq!(turn_of(matrix), Some(want), "{degrees} {flips:?}");
        }
        assert_eq!(turn_of([0; 9]), None);
    }

    #[test]
    fn aspects_out_of_reason_are_none() {
        for (num, den, want) in [
            (16, 11, Some((16, 11))),
            (1, 1, Some((1, 1))),
            (0, 1, None),
            (1, 0, None),
            (-4, 3, None),
            (1, 1000, None),
            (i32::MAX, 1, None),
        ] {
            assert_eq!(ratio_of(AVRational { num, den }), want, "{num}:{den}");
        }
    }
}

//! Interlaced frames become whole ones, by FFmpeg's `bwdif`: one for each, so that a stream keeps its frame rate.
//!
//! Must not know decoders. Invariant: frames come out in the order and with the times that they went in with; what is not
//! interlaced is not changed. Before the first interlaced frame nothing is held back, after it one frame is, until the
//! stream changes its size or ends.
#![expect(unsafe_code, reason = "frames are handed over by pointer")]

use std::mem;

use ffmpeg_next::filter::{self, Graph};
use ffmpeg_next::{ffi, format, frame};

/// Takes a frame at a time; it must be pulled from until it is empty before the next.
#[derive(Default)]
pub(super) struct Deinterlacer {
    line: Option<Line>,
    /// A frame that goes on as it is, or once those before it are through.
    waiting: Option<frame::Video>,
    spare: Option<frame::Video>,
}

/// Frames of one kind on their way through the filter.
struct Line {
    graph: Graph,
    kind: Kind,
    is_over: bool,
}

#[derive(Clone, Copy, PartialEq)]
struct Kind {
    width_px: u32,
    height_px: u32,
    format: format::Pixel,
}

impl Deinterlacer {
    /// Takes a frame, which has its time in nanoseconds, and leaves another in its place.
    pub(super) fn push(&mut self, frame: &mut frame::Video) {
        let mut taken = self.spare.take().unwrap_or_else(frame::Video::empty);
        mem::swap(&mut taken, frame);
        self.waiting = Some(taken);
    }

    /// The next frame, if it needs no other for that.
    pub(super) fn pull(&mut self, frame: &mut frame::Video) -> bool {
        loop {
            if let Some(line) = &mut self.line {
                if line.pull(frame) {
                    return true;
                }
                if line.is_over {
                    self.line = None;
                }
            }
            let Some(mut waiting) = self.waiting.take() else { return false };
            let kind = Kind::of(&waiting);
            match &mut self.line {
                Some(line) if line.kind == kind => {
                    line.push(&mut waiting);
                    self.spare = Some(waiting);
                    continue;
                }
                Some(line) => line.end(),
                None => {
                    self.line = if waiting.is_interlaced() { Line::new(kind).ok() } else { None };
                    if self.line.is_none() {
                        mem::swap(frame, &mut waiting);
                        self.spare = Some(waiting);
                        return true;
                    }
                }
            }
            self.waiting = Some(waiting);
        }
    }

    /// No frame follows: what was held back for one can be pulled.
    pub(super) fn end(&mut self) {
        if let Some(line) = &mut self.line {
            line.end();
        }
    }

    /// Whether nothing is held back.
    pub(super) fn is_empty(&self) -> bool {
        self.line.is_none() && self.waiting.is_none()
    }
}

impl Kind {
    fn of(frame: &frame::Video) -> Kind {
        Kind { width_px: frame.width(), height_px: frame.height(), format: frame.format() }
    }
}

const IN: &str = "in";
const OUT: &str = "out";

impl Line {
    fn new(kind: Kind) -> Result<Line, ffmpeg_next::Error> {
        let missing = || ffmpeg_next::Error::FilterNotFound;
        let mut graph = Graph::new();
        // SAFETY: the graph is new; the pool of threads that it would make is for the inputs, not for their pictures.
        unsafe { (*graph.as_mut_ptr()).nb_threads = 1 };
        let Kind { width_px, height_px, format } = kind;
        let format = ffi::AVPixelFormat::from(format) as i32;
        let source = format!(
            "video_size={width_px}x{height_px}:pix_fmt={format}:time_base=1/1000000000:pixel_aspect=1/1"
        );
        graph.add(&filter::find("buffer").ok_or_else(missing)?, IN, &source)?;
        graph.add(&filter::find("buffersink").ok_or_else(missing)?, OUT, "")?;
        let steps = "bwdif=mode=send_frame:parity=auto:deint=interlaced";
        graph.output(IN, 0)?.input(OUT, 0)?.parse(steps)?;
        graph.validate()?;
        Ok(Line { graph, kind, is_over: false })
    }

    /// Hands the frame over; what is left of it is empty.
    fn push(&mut self, frame: &mut frame::Video) {
        let taken = self.graph.get(IN).map(|mut source| source.source().add(frame));
        if !matches!(taken, Some(Ok(()))) {
            self.is_over = true;
        }
    }

    fn end(&mut self) {
        let told = self.graph.get(IN).map(|mut source| source.source().flush());
        if !matches!(told, Some(Ok(()))) {
            self.is_over = true;
        }
    }

    fn pull(&mut self, frame: &mut frame::Video) -> bool {
        let Some(mut sink) = self.graph.get(OUT) else { return false };
        match sink.sink().frame(frame) {
            Ok(()) => {
                let base = sink.sink().time_base();
                let pts_ns = frame.pts().map(|pts| {
                    // SAFETY: plain arithmetic.
                    unsafe { ffi::av_rescale_q(pts, base.into(), super::open::NS_BASE) }
                });
                frame.set_pts(pts_ns);
                true
            }
            Err(ffmpeg_next::Error::Other { errno: ffmpeg_next::error::EAGAIN }) => false,
            // All is through, or nothing will be.
            Err(_) => {
                self.is_over = true;
                false
            }
        }
    }
}

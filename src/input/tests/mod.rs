//! Tests of whole inputs, on real media made by the ffmpeg command line.

mod media;
mod support;

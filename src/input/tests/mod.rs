//! Tests of whole inputs, on real media made by the ffmpeg command line.

mod broken;
mod live;
mod media;
mod playlists;
mod pushed;
mod servers;
mod support;

//! A recorded MP4 in its final form: one index in front of the media, instead of fragments.
//!
//! Nothing is decoded. Must not know which file it replaces. Invariant: when [`rewrite`] succeeds the new file has every
//! packet of the old one.

use std::path::Path;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::{Packet, Rational, codec, encoder, format};

use super::mux::MuxError;
use super::open::prepare_ffmpeg;
use crate::worker::StopToken;

fn failed(what: &'static str) -> impl Fn(ffmpeg::Error) -> MuxError {
    move |error| MuxError { what, reason: error.to_string() }
}

fn packet_end_ns(packet: &Packet, base: Rational) -> u64 {
    let end = i128::from(packet.pts().unwrap_or(0) + packet.duration());
    let base_den = i128::from(base.denominator().max(1));
    u64::try_from(end * 1_000_000_000 * i128::from(base.numerator()) / base_den).unwrap_or(0)
}

/// How long a file plays as it is, ns.
///
/// # Errors
/// When it cannot be read.
pub fn length_ns(path: &Path) -> Result<u64, MuxError> {
    prepare_ffmpeg();
    let mut input = format::input(path).map_err(failed("cannot open the recording"))?;
    let ends = input.packets().map(|(stream, packet)| packet_end_ns(&packet, stream.time_base()));
    Ok(ends.max().unwrap_or(0))
}

/// Writes the MP4 `from` anew as `to`; gives how long it plays, ns. Ends soon after `stop`.
///
/// # Errors
/// When one cannot be read or the other not be written; what was written of `to` then stays.
pub fn rewrite(from: &Path, to: &Path, stop: &StopToken) -> Result<u64, MuxError> {
    prepare_ffmpeg();
    let mut input = format::input(from).map_err(failed("cannot open the recording"))?;
    let mut output = format::output_as(to, "mp4").map_err(failed("cannot create the file"))?;
    let mut bases = Vec::new();
    for stream in input.streams() {
        bases.push(stream.time_base());
        let mut copy = output
            .add_stream(encoder::find(codec::Id::None))
            .map_err(failed("cannot add a stream"))?;
        copy.set_parameters(stream.parameters());
        copy.set_avg_frame_rate(stream.avg_frame_rate());
        copy.set_time_base(stream.time_base());
    }
    let options = ffmpeg::dict!("movflags" => "+faststart");
    output.write_header_with(options).map_err(failed("cannot begin"))?;
    let (mut counts, mut end_ns) = (vec![0_i64; bases.len()], 0);
    for (stream, mut packet) in input.packets() {
        if stop.is_stopped() {
            return Err(MuxError { what: "cannot finish", reason: "the process ends".into() });
        }
        let (index, base) = (stream.index(), bases[stream.index()]);
        end_ns = end_ns.max(packet_end_ns(&packet, base));
        let to_base = output.stream(index).map_or(base, |copy| copy.time_base());
        packet.rescale_ts(base, to_base);
        packet.set_position(-1);
        packet.write_interleaved(&mut output).map_err(failed("cannot write"))?;
        counts[index] += 1;
    }
    output.write_trailer().map_err(failed("cannot finish"))?;
    drop(output);
    // Believed only when it reads back as what was put in.
    let copy = format::input(to).map_err(failed("cannot open what was written"))?;
    let found: Vec<i64> = copy.streams().map(|stream| stream.frames()).collect();
    if found != counts {
        let reason = format!("{found:?} of {counts:?} packets");
        return Err(MuxError { what: "what was written is not whole", reason });
    }
    Ok(end_ns)
}

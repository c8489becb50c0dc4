//! What a rendition is asked for, and the sizes that have names.
//!
//! Must not know how it is made. Invariant: a rendition is never larger than its output, and its sides are even.

use crate::frame::Size;
use crate::media::encode::{VideoSettings, default_bitrate_bps};

/// A further version of an output's picture; it shares the output's sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenditionSettings {
    /// Name within the output, as it stands in URLs: `lld`.
    pub name: String,
    /// Video; the rate of ticks is the output's, and its keyframes are, whatever is said here.
    pub video: VideoSettings,
}

/// The ladder's names and sizes in px, long side first (the cloud API's, §4.8).
const SIZES: [(&str, u32, u32); 4] =
    [("lld", 640, 360), ("lsd", 854, 480), ("lhd", 1280, 720), ("lud", 1920, 1080)];

/// Before a name: the aspect is the output's, the short side the name's.
const ADAPTIVE: &str = "daobo-";

impl RenditionSettings {
    /// The rendition that this name means for an output of these settings; `None` when it means none. Landscape sizes
    /// turn for a portrait output; a size that is larger than the output becomes the output's.
    pub fn named(name: &str, output: &VideoSettings) -> Option<RenditionSettings> {
        let plain = name.strip_prefix(ADAPTIVE).unwrap_or(name);
        let (_, long_px, short_px) = *SIZES.iter().find(|(known, ..)| *known == plain)?;
        let Size { width_px, height_px } = output.size;
        let (output_long, output_short) = (width_px.max(height_px), width_px.min(height_px));
        let (mut long_px, mut short_px) = (long_px, short_px);
        if plain != name {
            short_px = short_px.min(output_short);
            // To the nearest even number.
            long_px = (output_long * short_px + output_short) / (2 * output_short) * 2;
        }
        if long_px > output_long || short_px > output_short {
            (long_px, short_px) = (output_long, output_short);
        }
        let size = match width_px >= height_px {
            true => Size::new(long_px, short_px),
            false => Size::new(short_px, long_px),
        };
        let bitrate_bps = match size == output.size {
            true => output.bitrate_bps,
            false => default_bitrate_bps(size).min(output.bitrate_bps),
        };
        let video = VideoSettings { size, bitrate_bps, ..output.clone() };
        Some(RenditionSettings { name: name.into(), video })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::FrameRate;

    #[test]
    fn names_mean_sizes_that_fit_the_output() {
        for (name, output, size) in [
            ("lld", (1920, 1080), Some((640, 360))),
            ("lsd", (1920, 1080), Some((854, 480))),
            ("lhd", (1080, 1920), Some((720, 1280))),
            ("lud", (1280, 720), Some((1280, 720))),
            ("lld", (320, 180), Some((320, 180))),
            ("daobo-lsd", (1920, 1080), Some((854, 480))),
            ("daobo-lld", (1440, 1080), Some((480, 360))),
            ("daobo-lld", (480, 854), Some((360, 640))),
            ("daobo-lud", (854, 480), Some((854, 480))),
            ("xld", (1920, 1080), None),
            ("daobo-", (1920, 1080), None),
        ] {
            let output = VideoSettings::for_size(Size::new(output.0, output.1), FrameRate::FPS_30);
            let named = RenditionSettings::named(name, &output);
            assert_eq!(named.as_ref().map(|r| r.video.size), size.map(|(w, h)| Size::new(w, h)));
            if let Some(video) = named.map(|rendition| rendition.video) {
                assert!(video.bitrate_bps <= output.bitrate_bps, "{name}");
                assert_eq!((video.rate, video.gop_ticks), (output.rate, output.gop_ticks));
            }
        }
    }
}

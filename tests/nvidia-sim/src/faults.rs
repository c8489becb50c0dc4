//! Faults on demand.
//!
//! Must not know when they strike. Invariant: a word that it does not know ends the process, so that no test believes in a fault
//! that never comes.

/// A session that is lost.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// Height of its pictures, px; 0: of any.
    pub height_px: u32,
    /// At which of its pictures, counted from 0.
    pub picture: u64,
    /// No other session of that height can be initialized afterwards.
    pub for_good: bool,
}

/// A picture whose memory a session cannot map, once.
#[derive(Clone, Copy, Debug)]
pub struct Unmappable {
    height_px: u32,
    picture: u64,
}

/// What goes wrong, from the words after a comma each; and who the device is.
#[derive(Debug, Default)]
pub struct Faults {
    /// `no-device`: CUDA finds none.
    pub no_device: bool,
    /// `unsupported`: the device has no encoder, as A100, H100 and H200.
    pub unsupported: bool,
    /// `old-driver`: it speaks version 11.1 only.
    pub old_driver: bool,
    /// `sessions=N`: more than N at once are refused.
    pub sessions: Option<usize>,
    /// `no-memory`: no buffers can be had.
    pub no_memory: bool,
    /// `hold=N`: N pictures are held back (`NV_ENC_ERR_NEED_MORE_INPUT`) before the next gives out all.
    pub hold: u64,
    /// `lost=HEIGHT@PICTURE` once, `gone=HEIGHT@PICTURE` for good.
    pub losses: Vec<Loss>,
    /// `no-import`: CUDA brings no memory in.
    pub no_import: bool,
    /// `no-register`: NVENC takes no memory that is not its own.
    pub no_register: bool,
    /// `no-lookahead`: the card has none.
    pub no_lookahead: bool,
    /// `no-reconfigure`: sessions stay as they were initialized.
    pub no_reconfigure: bool,
    /// `unmappable=HEIGHT@PICTURE`
    pub unmappable: Vec<Unmappable>,
    /// `uuid=DIGITS`: no fault, but the UUID of the device, 32 hexadecimal digits.
    pub uuid: [u8; 16],
}

impl Faults {
    /// From words.
    pub fn parse(text: &str) -> Faults {
        let mut faults = Faults::default();
        for word in text.split(',').filter(|word| !word.is_empty()) {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| unknown(word));
            match name {
                "no-device" => faults.no_device = true,
                "unsupported" => faults.unsupported = true,
                "old-driver" => faults.old_driver = true,
                "sessions" => faults.sessions = Some(number(value) as usize),
                "no-memory" => faults.no_memory = true,
                "no-import" => faults.no_import = true,
                "no-lookahead" => faults.no_lookahead = true,
                "no-reconfigure" => faults.no_reconfigure = true,
                "no-register" => faults.no_register = true,
                "uuid" => {
                    let uuid = u128::from_str_radix(value, 16).unwrap_or_else(|_| unknown(word));
                    faults.uuid = uuid.to_be_bytes();
                }
                "hold" => faults.hold = number(value),
                "lost" | "gone" | "unmappable" => {
                    let (height, picture) = value.split_once('@').unwrap_or_else(|| unknown(word));
                    let (height_px, picture) = (number(height) as u32, number(picture));
                    let for_good = name == "gone";
                    match name {
                        "unmappable" => faults.unmappable.push(Unmappable { height_px, picture }),
                        _ => faults.losses.push(Loss { height_px, picture, for_good }),
                    }
                }
                _ => unknown(word),
            }
        }
        faults
    }

    /// Whether a session of this height is lost at this picture; strikes once.
    pub fn strikes(&mut self, height_px: u32, picture: u64) -> Option<Loss> {
        let is_due = |loss: &Loss| {
            (loss.height_px == 0 || loss.height_px == height_px) && loss.picture == picture
        };
        let index = self.losses.iter().position(is_due)?;
        Some(self.losses.remove(index))
    }
}

impl Faults {
    /// Whether this picture of a session of this height cannot be mapped; strikes once.
    pub fn cannot_map(&mut self, height_px: u32, picture: u64) -> bool {
        let is_due = |of: &Unmappable| {
            (of.height_px == 0 || of.height_px == height_px) && of.picture == picture
        };
        let index = self.unmappable.iter().position(is_due);
        index.map(|index| self.unmappable.remove(index)).is_some()
    }
}

fn unknown(word: &str) -> ! {
    eprintln!("nvidia simulator: ONAIR_NVIDIA_SIM: {word} is no fault");
    std::process::abort()
}

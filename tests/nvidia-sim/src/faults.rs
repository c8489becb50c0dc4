//! Faults on demand.
//!
//! Must not know when they strike. Invariant: a word that it does not know ends the process, so that no test believes in a fault
//! that never comes.

/// What the driver refuses to whoever asks it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refusals {
    /// `no-device`: CUDA finds none, or finds it no more.
    pub no_device: bool,
    /// `unsupported`: the device has no encoder, as A100, H100 and H200.
    pub unsupported: bool,
    /// `old-driver`: it speaks version 11.1 only.
    pub old_driver: bool,
    /// `sessions=N`: more than N at once are refused.
    pub sessions: Option<usize>,
    /// `no-memory`: no buffers can be had.
    pub no_memory: bool,
    /// `no-import`: CUDA brings no memory in.
    pub no_import: bool,
    /// `no-register`: NVENC takes no memory that is not its own.
    pub no_register: bool,
    /// `no-reconfigure`: sessions stay as they were initialized.
    pub no_reconfigure: bool,
    /// `no-lookahead`: the card has none.
    pub no_lookahead: bool,
    /// `no-hevc`: the card encodes H.264 alone.
    pub no_hevc: bool,
    /// `no-av1`: the card encodes H.264 and HEVC.
    pub no_av1: bool,
    /// `b-frames=N`: the card makes no more in a row.
    pub b_frames: Option<u32>,
}

impl Refusals {
    fn of(word: &str) -> Refusals {
        let mut refusals = Refusals::default();
        refusals.add(word);
        refusals
    }

    fn add(&mut self, word: &str) {
        match word.split_once('=').unwrap_or((word, "")) {
            ("no-device", "") => self.no_device = true,
            ("unsupported", "") => self.unsupported = true,
            ("old-driver", "") => self.old_driver = true,
            ("sessions", most) => {
                self.sessions = Some(most.parse().unwrap_or_else(|_| unknown(word)));
            }
            ("no-memory", "") => self.no_memory = true,
            ("no-import", "") => self.no_import = true,
            ("no-register", "") => self.no_register = true,
            ("no-reconfigure", "") => self.no_reconfigure = true,
            ("no-lookahead", "") => self.no_lookahead = true,
            ("no-hevc", "") => self.no_hevc = true,
            ("no-av1", "") => self.no_av1 = true,
            ("b-frames", most) => {
                self.b_frames = Some(most.parse().unwrap_or_else(|_| unknown(word)));
            }
            _ => unknown(word),
        }
    }
}

/// A session that is lost.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// Height of its pictures, px; 0: of any.
    pub height_px: u32,
    /// At which of its pictures, counted from 0.
    pub picture: u64,
    /// No other session of that height can be initialized afterwards.
    pub for_good: bool,
    /// What is refused from then on, in the place of what was; none: as before.
    pub then: Option<Refusals>,
}

/// A picture whose memory a session cannot map, once.
#[derive(Clone, Copy, Debug)]
pub struct Unmappable {
    height_px: u32,
    picture: u64,
}

/// Pictures that are held back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hold {
    pictures: u64,
    /// From which picture of a session on.
    from: u64,
}

impl Hold {
    /// How many are held back at this picture of a session.
    pub fn at(self, picture: u64) -> u64 {
        if picture < self.from { 0 } else { self.pictures }
    }
}

/// What goes wrong, from the words after a comma each; and who the device is.
#[derive(Debug, Default)]
pub struct Faults {
    /// What is refused now.
    pub refusals: Refusals,
    /// `hold=N` or `hold=N@PICTURE`: N pictures are held back (`NV_ENC_ERR_NEED_MORE_INPUT`) before the next gives out all, from that
    /// picture of a session on.
    pub hold: Hold,
    /// `lost=HEIGHT@PICTURE` once, `gone=HEIGHT@PICTURE` for good; `+` and a refusal: that is refused
    /// from then on, and nothing else.
    pub losses: Vec<Loss>,
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
            let place = |value: &str| {
                let (height, picture) = value.split_once('@').unwrap_or_else(|| unknown(word));
                (number(height) as u32, number(picture))
            };
            match name {
                "uuid" => {
                    let uuid = u128::from_str_radix(value, 16).unwrap_or_else(|_| unknown(word));
                    faults.uuid = uuid.to_be_bytes();
                }
                "hold" => {
                    let (pictures, from) = value.split_once('@').unwrap_or((value, "0"));
                    faults.hold = Hold { pictures: number(pictures), from: number(from) };
                }
                "lost" | "gone" => {
                    let mut parts = value.splitn(2, '+');
                    let (height_px, picture) = place(parts.next().unwrap_or_default());
                    let then = parts.next().map(Refusals::of);
                    let for_good = name == "gone";
                    faults.losses.push(Loss { height_px, picture, for_good, then });
                }
                "unmappable" => {
                    let (height_px, picture) = place(value);
                    faults.unmappable.push(Unmappable { height_px, picture });
                }
                _ => faults.refusals.add(word),
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
        let loss = self.losses.remove(index);
        self.refusals = loss.then.unwrap_or(self.refusals);
        Some(loss)
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

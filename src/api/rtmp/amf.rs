//! Just enough AMF0: to tell harmless values from bombs before they are parsed, and to write a status.
//!
//! Must not know which command it is. Invariant: nothing here recurses.

use bytes::Buf;

use crate::limits::RTMP_AMF_DEPTH;

const NUMBER: u8 = 0;
const BOOLEAN: u8 = 1;
const STRING: u8 = 2;
const OBJECT: u8 = 3;
const NULL: u8 = 5;
const UNDEFINED: u8 = 6;
const ECMA_ARRAY: u8 = 8;
const OBJECT_END: u8 = 9;
const STRICT_ARRAY: u8 = 10;

/// Why a command is not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a command that is malformed or nested too deeply")]
pub(super) struct BadAmf;

/// What the walk is inside of.
enum Inside {
    /// Names and values up to an end marker.
    Object,
    /// This many values.
    Array(u32),
}

/// Whether `bytes` are AMF0 values of bounded depth. The parser that follows recurses, so this comes first.
pub(super) fn check(mut bytes: &[u8]) -> Result<(), BadAmf> {
    let mut inside: Vec<Inside> = Vec::new();
    loop {
        match inside.last_mut() {
            None if bytes.is_empty() => return Ok(()),
            None => {}
            Some(Inside::Array(0)) => {
                inside.pop();
                continue;
            }
            Some(Inside::Array(left)) => *left -= 1,
            Some(Inside::Object) => {
                let name = bytes.try_get_u16().map_err(|_short| BadAmf)?;
                skip(&mut bytes, usize::from(name))?;
                if name == 0 {
                    if bytes.try_get_u8() != Ok(OBJECT_END) {
                        return Err(BadAmf);
                    }
                    inside.pop();
                    continue;
                }
            }
        }
        match bytes.try_get_u8().map_err(|_short| BadAmf)? {
            NUMBER => skip(&mut bytes, 8)?,
            BOOLEAN => skip(&mut bytes, 1)?,
            STRING => {
                let length = bytes.try_get_u16().map_err(|_short| BadAmf)?;
                skip(&mut bytes, usize::from(length))?;
            }
            NULL | UNDEFINED => {}
            OBJECT => inside.push(Inside::Object),
            ECMA_ARRAY => {
                skip(&mut bytes, 4)?;
                inside.push(Inside::Object);
            }
            STRICT_ARRAY => {
                let count = bytes.try_get_u32().map_err(|_short| BadAmf)?;
                inside.push(Inside::Array(count));
            }
            _ => return Err(BadAmf),
        }
        if inside.len() > RTMP_AMF_DEPTH {
            return Err(BadAmf);
        }
    }
}

fn skip(bytes: &mut &[u8], count: usize) -> Result<(), BadAmf> {
    *bytes = bytes.get(count..).ok_or(BadAmf)?;
    Ok(())
}

/// `onStatus` with this level (`status` or `error`), code and description.
pub(super) fn on_status(level: &str, code: &str, description: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let put = |out: &mut Vec<u8>, text: &str| {
        out.extend_from_slice(&(text.len() as u16).to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    };
    out.push(STRING);
    put(&mut out, "onStatus");
    out.push(NUMBER);
    out.extend_from_slice(&0_f64.to_be_bytes());
    out.extend_from_slice(&[NULL, OBJECT]);
    for (name, value) in [("level", level), ("code", code), ("description", description)] {
        put(&mut out, name);
        out.push(STRING);
        put(&mut out, value);
    }
    out.extend_from_slice(&[0, 0, OBJECT_END]);
    out
}

/// The body of a data message without the `@setDataFrame` in front that publishers put there; that is a script tag.
pub(super) fn script_body(data: &[u8]) -> &[u8] {
    const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";
    data.strip_prefix(SET_DATA_FRAME).unwrap_or(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bombs_are_told_from_commands() {
        let deep: Vec<u8> = [OBJECT, 0, 1, b'a'].repeat(40);
        let flat: Vec<u8> = [[OBJECT, 0, 1, b'a', NULL, 0, 0, OBJECT_END]; 40].concat();
        for (bytes, ok) in [
            (on_status("error", "NetStream.Publish.BadName", "taken"), true),
            (flat, true),
            (deep, false),
            ([STRICT_ARRAY, 0, 0, 0, 1].repeat(40), false),
            (vec![STRICT_ARRAY, 0xff, 0xff, 0xff, 0xff, NULL], false),
            (vec![ECMA_ARRAY, 0, 0, 0, 1, 0, 1, b'a', BOOLEAN, 1, 0, 0, OBJECT_END], true),
            (vec![STRING, 0, 9, b'a'], false),
            (vec![OBJECT, 0, 0, NULL], false),
            (vec![0x11], false),
            (vec![], true),
        ] {
            assert_eq!(check(&bytes).is_ok(), ok, "{bytes:x?}");
        }
    }
}

//! Names of recorded files, made from templates such as `record/{AppName}/{StreamName}/{StartTime}_{EndTime}`.
//!
//! Owns which templates are good and what they become. Must not know files. Invariant: whatever is filled in, the name
//! stays below the directory that it is relative to, and no part of it is hidden.

use std::fmt;

use crate::limits::{MAX_RECORD_NAME_BYTES, MAX_RECORD_VALUE_BYTES};

/// The template of a recorded file when none is given (the cloud API's, §4.9).
pub const DEFAULT_RECORD_NAME: &str = "record/{AppName}/{StreamName}/{StartTime}_{EndTime}";
/// The template of a segment when none is given.
pub const DEFAULT_SLICE_NAME: &str = "record/{AppName}/{StreamName}/{UnixTimestamp}_{Sequence}";

/// Stands for the end in the name of a file that has not ended.
pub const END_TIME: &str = "{EndTime}";

/// Longest name of a directory or file that Linux takes, less what is put behind it (`-12.m3u8.part.new`).
const MAX_PART_BYTES: usize = 220;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    App,
    Stream,
    Start,
    End,
    Unix,
    Sequence,
}

const PLACEHOLDERS: [(&str, Value); 6] = [
    ("{AppName}", Value::App),
    ("{StreamName}", Value::Stream),
    ("{StartTime}", Value::Start),
    (END_TIME, Value::End),
    ("{UnixTimestamp}", Value::Unix),
    ("{Sequence}", Value::Sequence),
];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(Value),
}

/// A template that was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordName(Vec<Piece>);

/// Why a template is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecordName {
    /// Empty, or longer than [`MAX_RECORD_NAME_BYTES`], or one of its parts is too long for a file system.
    #[error(
        "a file name template must have 1 to {MAX_RECORD_NAME_BYTES} bytes, and no part of it more than a file name may"
    )]
    Length,
    /// Absolute, or with a part that is empty or begins with a dot.
    #[error(
        "a file name template must be relative, without empty parts and parts that begin with a dot"
    )]
    Leaves,
    /// A control character or one of `\ : ? # % * " < > |`.
    #[error(
        "a file name template must not have control characters or any of \\ : ? # % * \" < > |"
    )]
    Character,
    /// A brace that belongs to no placeholder.
    #[error(
        "a file name template knows {{AppName}}, {{StreamName}}, {{StartTime}}, {{EndTime}}, {{UnixTimestamp}} and {{Sequence}} only"
    )]
    Placeholder,
    /// The end is not known while a directory is made or a segment begins.
    #[error("{{EndTime}} can stand in the last part of a file's name only")]
    EndTime,
}

/// What is filled in.
#[derive(Clone, Copy, Debug)]
pub struct RecordFacts<'a> {
    /// `{AppName}`
    pub app: &'a str,
    /// `{StreamName}`
    pub stream: &'a str,
    /// `{StartTime}` and `{UnixTimestamp}`, ms since 1970.
    pub start_unix_ms: u64,
    /// `{Sequence}`
    pub sequence: u64,
}

impl RecordName {
    /// Reads the template of a file.
    ///
    /// # Errors
    /// When it could lead out of its directory, cannot be a file name everywhere, or has an unknown placeholder.
    pub fn parse(template: &str) -> Result<RecordName, BadRecordName> {
        if template.is_empty() || template.len() > MAX_RECORD_NAME_BYTES {
            return Err(BadRecordName::Length);
        }
        let forbidden = |c: char| c.is_control() || "\\:?#%*\"<>|".contains(c);
        if template.contains(forbidden) {
            return Err(BadRecordName::Character);
        }
        let parts: Vec<&str> = template.split('/').collect();
        if parts.iter().any(|part| part.is_empty() || part.starts_with('.')) {
            return Err(BadRecordName::Leaves);
        }
        let name = RecordName(pieces(template)?);
        if parts[..parts.len() - 1].iter().any(|part| part.contains(END_TIME)) {
            return Err(BadRecordName::EndTime);
        }
        let longest = "x".repeat(MAX_RECORD_VALUE_BYTES);
        let facts =
            RecordFacts { app: &longest, stream: &longest, start_unix_ms: 0, sequence: u64::MAX };
        let filled = name.fill(&facts).replace(END_TIME, &date_time(0));
        match filled.split('/').any(|part| part.len() > MAX_PART_BYTES) {
            true => Err(BadRecordName::Length),
            false => Ok(name),
        }
    }

    /// Reads the template of a segment, whose end is not known when its name is needed.
    ///
    /// # Errors
    /// As [`RecordName::parse`], and for `{EndTime}`.
    pub fn parse_slice(template: &str) -> Result<RecordName, BadRecordName> {
        let name = RecordName::parse(template)?;
        match name.0.contains(&Piece::Value(Value::End)) {
            true => Err(BadRecordName::EndTime),
            false => Ok(name),
        }
    }

    /// The name, relative and without an extension. `{EndTime}` stays as it is, see [`with_end`].
    pub fn fill(&self, facts: &RecordFacts<'_>) -> String {
        let mut name = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => name += text,
                Piece::Value(Value::App) => name += &plain(facts.app),
                Piece::Value(Value::Stream) => name += &plain(facts.stream),
                Piece::Value(Value::Start) => name += &date_time(facts.start_unix_ms),
                Piece::Value(Value::End) => name += END_TIME,
                Piece::Value(Value::Unix) => name += &(facts.start_unix_ms / 1000).to_string(),
                Piece::Value(Value::Sequence) => name += &facts.sequence.to_string(),
            }
        }
        name
    }
}

/// A name whose file ended then, ms since 1970.
pub fn with_end(name: &str, end_unix_ms: u64) -> String {
    name.replace(END_TIME, &date_time(end_unix_ms))
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => f.write_str(text)?,
                Piece::Value(value) => {
                    let name = PLACEHOLDERS.iter().find(|(_, known)| known == value);
                    f.write_str(name.map_or("", |(name, _)| name))?;
                }
            }
        }
        Ok(())
    }
}

fn pieces(template: &str) -> Result<Vec<Piece>, BadRecordName> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (text, tail) = rest.split_at(at);
        if !text.is_empty() {
            pieces.push(Piece::Text(text.into()));
        }
        let known = PLACEHOLDERS.iter().find(|(name, _)| tail.starts_with(name));
        let (name, value) = known.ok_or(BadRecordName::Placeholder)?;
        pieces.push(Piece::Value(*value));
        rest = &tail[name.len()..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.into()));
    }
    Ok(pieces)
}

/// A value as part of a file name: what else could be there becomes `_`.
fn plain(value: &str) -> String {
    let safe = |(index, c): (usize, char)| match c {
        '.' if index > 0 => c,
        '-' | '_' => c,
        c if c.is_ascii_alphanumeric() => c,
        _ => '_',
    };
    let plain: String = value.chars().take(MAX_RECORD_VALUE_BYTES).enumerate().map(safe).collect();
    if plain.is_empty() { "_".into() } else { plain }
}

/// `yyyy-MM-dd-HH-mm-ss`, UTC.
fn date_time(unix_ms: u64) -> String {
    const DAY_S: u64 = 86_400;
    let unix_s = unix_ms / 1000;
    let (year, month, day) = civil(unix_s / DAY_S);
    let (hour, minute, second) = (unix_s % DAY_S / 3600, unix_s / 60 % 60, unix_s % 60);
    format!("{year:04}-{month:02}-{day:02}-{hour:02}-{minute:02}-{second:02}")
}

/// Year, month and day of a day since 1970. Years are counted from March, so that the day that leap years have more is
/// the last, and in eras of 400 years, which are all alike.
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    // 1970-01-01 is day 719468 since 0000-03-01.
    let day = days + 719_468;
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: RecordFacts<'_> = RecordFacts {
        app: "caster",
        stream: "a/../b",
        start_unix_ms: 1_709_164_799_999,
        sequence: 7,
    };

    #[test]
    fn what_could_lead_astray_is_refused() {
        let long = "x".repeat(MAX_RECORD_NAME_BYTES + 1);
        let too_many_values = "{StreamName}{AppName}{StreamName}";
        for (template, problem) in [
            ("", BadRecordName::Length),
            (&long, BadRecordName::Length),
            (too_many_values, BadRecordName::Length),
            ("/etc/{StreamName}", BadRecordName::Leaves),
            ("..", BadRecordName::Leaves),
            ("a/../../b", BadRecordName::Leaves),
            ("a/..", BadRecordName::Leaves),
            ("a//b", BadRecordName::Leaves),
            ("a/", BadRecordName::Leaves),
            ("./a", BadRecordName::Leaves),
            (".hidden", BadRecordName::Leaves),
            ("a\\..\\b", BadRecordName::Character),
            ("a\0b", BadRecordName::Character),
            ("a\nb", BadRecordName::Character),
            ("file:a", BadRecordName::Character),
            ("a?b", BadRecordName::Character),
            ("{Nobody}", BadRecordName::Placeholder),
            ("a}", BadRecordName::Placeholder),
            ("{{AppName}}", BadRecordName::Placeholder),
            ("{EndTime}/a", BadRecordName::EndTime),
        ] {
            assert_eq!(RecordName::parse(template), Err(problem), "{template:?}");
            assert!(RecordName::parse_slice(template).is_err(), "{template:?}");
        }
        assert_eq!(RecordName::parse_slice(DEFAULT_RECORD_NAME), Err(BadRecordName::EndTime));
    }

    #[test]
    fn placeholders_are_filled_in_and_values_stay_one_part() {
        for (template, filled) in [
            (DEFAULT_RECORD_NAME, "record/caster/a_.._b/2024-02-28-23-59-59_{EndTime}"),
            (DEFAULT_SLICE_NAME, "record/caster/a_.._b/1709164799_7"),
            ("plain name", "plain name"),
        ] {
            let name = RecordName::parse(template).unwrap();
            assert_eq!(name.fill(&FACTS), filled);
            assert_eq!(name.to_string(), template);
        }
        let hidden = RecordFacts { app: "..", stream: "", ..FACTS };
        let name = RecordName::parse("{AppName}/{StreamName}").unwrap().fill(&hidden);
        assert_eq!(name, "_./_");
        assert_eq!(with_end("a_{EndTime}", 0), "a_1970-01-01-00-00-00");
        assert_eq!(with_end("a_{EndTime}", 1_709_164_800_000), "a_2024-02-29-00-00-00");
        assert_eq!(with_end("{EndTime}", 4_102_444_800_000), "2100-01-01-00-00-00");
    }
}

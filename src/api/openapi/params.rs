//! Parameters: query, form and JSON in a string, all in one flat form (`VideoLayer.1.PositionNormalized.2`).
//!
//! Must not know operations. Invariants: a name stands for one value; lists count from 1 without holes; what cannot be
//! read is refused under the name of its parameter.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde_json::Value;

use super::fault::Fault;
use super::utc;
use crate::catalog::ErrorCode;
use crate::limits;

/// The parameters of a request, or of one structure in it. Names are as the API writes them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Params {
    /// What the names begin with in the request, for messages; with its dot.
    prefix: String,
    values: BTreeMap<String, String>,
}

impl Params {
    /// The union of these pairs.
    ///
    /// # Errors
    /// When a name is given twice: nobody could say which value was meant.
    pub(super) fn merge(pairs: impl Iterator<Item = (String, String)>) -> Result<Params, Fault> {
        let mut params = Params::default();
        for (name, value) in pairs {
            params.insert(name, value)?;
        }
        Ok(params)
    }

    fn insert(&mut self, name: String, value: String) -> Result<(), Fault> {
        if self.values.contains_key(&name) {
            let message = format!("Specified parameter {}{name} is given twice.", self.prefix);
            return Err(Fault::new(ErrorCode::ParameterMalformed, message));
        }
        self.values.insert(name, value);
        Ok(())
    }

    /// Every name and value, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (&name[..], &value[..]))
    }

    /// The value, if it is there.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The value; empty when absent.
    pub(super) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// Refuses when one of these is absent altogether; an empty one is for the rules to judge.
    pub(super) fn require(&self, names: &[&str]) -> Result<(), Fault> {
        let is_there = |name: &str| {
            let element = format!("{name}.");
            self.values.contains_key(name)
                || self
                    .values
                    .range(element.clone()..)
                    .next()
                    .is_some_and(|(n, _)| n.starts_with(&element))
        };
        match names.iter().find(|name| !is_there(name)) {
            Some(name) => Err(Fault::missing(name)),
            None => Ok(()),
        }
    }

    /// A number; none when absent or empty.
    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Fault> {
        self.read(name, "not a number of its kind", |text| text.trim().parse().ok())
    }

    /// `true` or `false`, however written, 1 or 0.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Fault> {
        self.read(name, "not true or false", |text| {
            let is = |words: [&str; 2]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
            if is(["true", "1"]) { Some(true) } else { is(["false", "0"]).then_some(false) }
        })
    }

    /// A time in ms since 1970.
    pub(super) fn time_ms(&self, name: &str) -> Result<Option<i64>, Fault> {
        self.read(name, "not a time like 2026-01-31T12:00:00Z", |text| {
            i64::try_from(utc::parse(text)?).ok().map(|unix_s| unix_s * 1000)
        })
    }

    /// A colour: `0xRRGGBB`, or the same number in decimal, which some clients send.
    pub(super) fn color(&self, name: &str) -> String {
        let text = self.text(name);
        match text.parse::<u32>() {
            Ok(rgb) => format!("0x{rgb:06x}"),
            Err(_not_decimal) => text,
        }
    }

    fn read<T>(
        &self,
        name: &str,
        why: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        match self.get(name) {
            None | Some("") => Ok(None),
            Some(text) => match parse(text) {
                Some(value) => Ok(Some(value)),
                None => Err(self.malformed(name, why)),
            },
        }
    }

    /// A refusal of a parameter of these.
    pub(super) fn malformed(&self, name: &str, why: &str) -> Fault {
        Fault::malformed(&format!("{}{name}", self.prefix), why)
    }

    /// A list of plain values.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Fault> {
        let element = |index| {
            let element = element(name, index);
            let text = self.get(&element).map(str::to_owned);
            text.ok_or_else(|| self.malformed(&element, "not a plain value"))
        };
        (1..=self.count(name)?).map(element).collect()
    }

    /// A list of numbers.
    pub(super) fn numbers<T: FromStr>(&self, name: &str) -> Result<Vec<T>, Fault> {
        let element = |index| {
            let element = element(name, index);
            self.number(&element)?.ok_or_else(|| self.malformed(&element, "not a number"))
        };
        (1..=self.count(name)?).map(element).collect()
    }

    /// A list of structures; with an empty `name` the list that these parameters are themselves.
    pub(super) fn items(&self, name: &str) -> Result<Vec<Params>, Fault> {
        Ok((1..=self.count(name)?).map(|index| self.part(&element(name, index))).collect())
    }

    /// Of several names of the same list the one that is used here, else the first. An empty one is that of the list that
    /// these parameters are themselves.
    pub(super) fn list_name<'a>(&self, names: &[&'a str]) -> &'a str {
        let is_used = |name: &&&str| self.require(&[&element(name, 1)]).is_ok();
        names.iter().find(is_used).or(names.first()).copied().unwrap_or_default()
    }

    /// The structure called `name`: what stands behind its dot.
    pub(super) fn part(&self, name: &str) -> Params {
        let start = format!("{name}.");
        let values = self.values.range(start.clone()..).map_while(|(name, value)| {
            Some((name.strip_prefix(&start)?.to_owned(), value.clone()))
        });
        Params { prefix: format!("{}{start}", self.prefix), values: values.collect() }
    }

    /// How many elements the list has: its indices must be 1, 2, 3 … without a hole.
    fn count(&self, name: &str) -> Result<usize, Fault> {
        let list = if name.is_empty() { self.clone() } else { self.part(name) };
        let mut indices = BTreeSet::new();
        for element in list.values.keys() {
            let index = element.split('.').next().unwrap_or_default();
            let number = index.parse::<usize>().ok().filter(|n| n.to_string() == index);
            indices.insert(
                number.ok_or_else(|| self.malformed(name, "a list has elements 1, 2, 3 …"))?,
            );
        }
        let count = indices.len();
        if indices.iter().copied().eq(1..=count) {
            return Ok(count);
        }
        Err(self.malformed(name, "a list has elements 1, 2, 3 … without a hole"))
    }

    /// JSON in a string, in the same flat form; none when absent or empty. Names may begin with a lower-case letter.
    pub(super) fn json(&self, name: &str) -> Result<Option<Params>, Fault> {
        self.read_json(name, self.get(name).unwrap_or_default())
    }

    /// A list of texts as JSON in a string; the brackets may be missing.
    pub(super) fn json_texts(&self, name: &str) -> Result<Vec<String>, Fault> {
        let text = self.get(name).unwrap_or_default().trim();
        let list = match text.starts_with('[') || text.is_empty() {
            true => self.read_json(name, text)?,
            false => self.read_json(name, &format!("[{text}]"))?,
        };
        list.map_or(Ok(Vec::new()), |list| list.texts(""))
    }

    fn read_json(&self, name: &str, text: &str) -> Result<Option<Params>, Fault> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|error| self.malformed(name, &format!("not JSON ({error})")))?;
        let mut flat =
            Params { prefix: format!("{}{name}.", self.prefix), values: BTreeMap::new() };
        match value {
            Value::Object(_) | Value::Array(_) => flat.flatten(String::new(), value)?,
            Value::Null => return Ok(None),
            _ => return Err(self.malformed(name, "not a JSON object or list")),
        }
        Ok(Some(flat))
    }

    fn flatten(&mut self, name: String, value: Value) -> Result<(), Fault> {
        if self.values.len() > limits::API_PARAMS || name.len() > limits::MAX_NAME_BYTES {
            return Err(self.malformed("", "too many values, or names that are too long"));
        }
        match value {
            Value::Null => Ok(()),
            Value::Bool(flag) => self.insert(name, flag.to_string()),
            Value::Number(number) => self.insert(name, number.to_string()),
            Value::String(text) => self.insert(name, text),
            Value::Array(list) => list
                .into_iter()
                .zip(1..)
                .try_for_each(|(value, index)| self.flatten(element(&name, index), value)),
            Value::Object(fields) => fields.into_iter().try_for_each(|(field, value)| {
                let field = upper_first(&field);
                let inside = if name.is_empty() { field } else { format!("{name}.{field}") };
                self.flatten(inside, value)
            }),
        }
    }
}

/// `NAME.INDEX`, or the index alone.
fn element(name: &str, index: usize) -> String {
    if name.is_empty() { index.to_string() } else { format!("{name}.{index}") }
}

fn upper_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| {
        std::iter::once(first.to_ascii_uppercase()).chain(chars).collect()
    })
}

//! Reads a GeoJSON document by serde_json as a stream: a FeatureCollection, or features in a row. Memory holds one feature.
//! What stands before and behind the features of a collection is skipped, however long.

use super::error::ImportError;
use super::feature::{feature, without_place};
use super::{Outcome, Take};
use crate::places::file::format::Kind;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, Read};
use std::path::Path;

/// What precedes each record of a sequence (RFC 8142).
pub(super) const RECORD_SEPARATOR: u8 = 0x1E;

/// Reads a collection, or features in a row, to its end.
pub(super) fn read(
    reader: impl BufRead,
    file: &Path,
    (kind, file_number): (Kind, u32),
    take: Take<'_>,
) -> Result<(), ImportError> {
    let line = Cell::new(1);
    let mut reader = LineCounter { reader, line: &line };
    let mut document = Document { kind, file_number, take, line: &line, stopped: None };
    while let Some(byte) = reader.skip_blank().map_err(|error| ImportError::Read(file.into(), error))? {
        let begin = line.get();
        let malformed = |at: usize, what: String| ImportError::Malformed(file.into(), at, what.into());
        if byte != b'{' {
            let remedy = "is this GeoJSON, as osmium export writes it?";
            return Err(malformed(
                begin,
                format!("{:?} where a feature is due ({remedy})", char::from(byte)),
            ));
        }
        let mut deserializer = serde_json::Deserializer::from_reader(&mut reader);
        let read = deserializer.deserialize_map(&mut document);
        if let Some(stopped) = document.stopped.take() {
            return Err(stopped);
        }
        read.map_err(|error| match error.classify() {
            serde_json::error::Category::Io => ImportError::Read(file.into(), error.into()),
            serde_json::error::Category::Eof => {
                let what = format!("ends in the middle of what begins on line {begin}");
                malformed(line.get(), format!("{what} (was the download cut off?)"))
            }
            _ => malformed(
                begin + error.line().max(1) - 1,
                format!("is not GeoJSON: {}", without_place(&error)),
            ),
        })?;
    }
    Ok(())
}

/// Counts the lines of what is read. serde_json reads a byte at a time.
struct LineCounter<'a, R> {
    reader: R,
    line: &'a Cell<usize>,
}

impl<R: BufRead> LineCounter<'_, R> {
    /// The next byte that is not white space, which stays in the reader. `None` at the end.
    fn skip_blank(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.reader.fill_buf()?.first().copied() {
                Some(b' ' | b'\t' | b'\r' | b'\n' | RECORD_SEPARATOR) => self.read_exact(&mut [0])?,
                other => return Ok(other),
            }
        }
    }
}

impl<R: BufRead> Read for LineCounter<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        let lines = buffer[..count].iter().filter(|byte| **byte == b'\n').count();
        self.line.set(self.line.get() + lines);
        Ok(count)
    }
}

/// Takes the features of a collection, or a feature.
struct Document<'a> {
    kind: Kind,
    file_number: u32,
    take: Take<'a>,
    line: &'a Cell<usize>,
    /// Why `take` ended the import.
    stopped: Option<ImportError>,
}

impl Document<'_> {
    fn take<E: Error>(&mut self, line: usize, text: &str) -> Result<(), E> {
        let outcome = feature(text.as_bytes(), self.kind, self.file_number).unwrap_or_else(Outcome::Bad);
        (self.take)(line, outcome).map_err(|error| {
            self.stopped = Some(error);
            E::custom("stopped")
        })
    }
}

/// The object at the top.
impl<'de> Visitor<'de> for &mut Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a feature or a collection of features")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (line, mut is_collection, mut own) = (self.line.get(), false, String::new());
        while let Some(member) = map.next_key::<String>()? {
            match member.as_str() {
                "features" => {
                    is_collection = true;
                    map.next_value_seed(FeaturesOf(self))?;
                }
                "type" | "geometry" | "properties" | "id" => {
                    let value: Box<RawValue> = map.next_value()?;
                    own.push_str(&format!("{}\"{member}\":{value}", if own.is_empty() { "" } else { "," }));
                }
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        if is_collection { Ok(()) } else { self.take(line, &format!("{{{own}}}")) }
    }
}

/// The array of a collection's features.
struct FeaturesOf<'a, 'b>(&'a mut Document<'b>);

impl<'de> DeserializeSeed<'de> for FeaturesOf<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for FeaturesOf<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of features")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while array.next_element_seed(FeatureOf(self.0))?.is_some() {}
        Ok(())
    }
}

/// One feature of a collection.
struct FeatureOf<'a, 'b>(&'a mut Document<'b>);

impl<'de> DeserializeSeed<'de> for FeatureOf<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // The reader stands at the feature's first byte.
        let line = self.0.line.get();
        let text: Box<RawValue> = serde::Deserialize::deserialize(deserializer)?;
        self.0.take(line, text.get())
    }
}

//! Reads CSV as in RFC 4180. A comma or another character separates fields; LF or CR LF separates records. Quotes enclose
//! fields that hold a separator, and a quote within quotes is doubled.
//!
//! The crate `csv` would add three packages to every node for two commands that a node does not run. It also accepts invalid
//! input without an error. This module does not know places.

/// The records of a text, one after the other.
pub(crate) struct Records<'a> {
    rest: &'a str,
    line: usize,
    comma: char,
}

/// A record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// The first line of the record, from 1. A quoted field may span several lines.
    pub(crate) line: usize,
    pub(crate) fields: Vec<String>,
}

/// The problem of invalid CSV, and its line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) line: usize,
    pub(crate) what: &'static str,
}

impl<'a> Records<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self::parted_by(',', text.strip_prefix('\u{FEFF}').unwrap_or(text), 1)
    }

    /// Records with `comma` as the separator, in a text that begins on `line`.
    pub(crate) fn parted_by(comma: char, text: &'a str, line: usize) -> Self {
        Self { rest: text, line, comma }
    }

    /// Reads the field at the begin of `rest`. Does not consume the separator after it.
    fn field(&mut self) -> Result<String, Malformed> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let (field, rest) =
                self.rest.split_at(self.rest.find([self.comma, '\r', '\n']).unwrap_or(self.rest.len()));
            if field.contains('"') {
                return Err(self.malformed("a quote inside a field that does not begin with one"));
            }
            self.rest = rest;
            return Ok(field.to_owned());
        };
        let line = self.line;
        let mut field = String::new();
        let mut rest = quoted;
        loop {
            let Some((part, after)) = rest.split_once('"') else {
                return Err(Malformed { line, what: "a quoted field has no end" });
            };
            field.push_str(part);
            self.line += part.matches('\n').count();
            let Some(more) = after.strip_prefix('"') else {
                self.rest = after;
                return Ok(field);
            };
            field.push('"');
            rest = more;
        }
    }

    fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { line: self.line, what }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let mut record = Record { line: self.line, fields: Vec::new() };
        loop {
            match self.field() {
                Ok(field) => record.fields.push(field),
                Err(error) => {
                    self.rest = "";
                    return Some(Err(error));
                }
            }
            if let Some(rest) = self.rest.strip_prefix(self.comma) {
                self.rest = rest;
                continue;
            }
            let end = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n'));
            if let Some(rest) = end {
                self.rest = rest;
                self.line += 1;
            } else if !self.rest.is_empty() {
                let error = self.malformed("text between a field's closing quote and the comma");
                self.rest = "";
                return Some(Err(error));
            }
            return Some(Ok(record));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Vec<(usize, Vec<String>)>, Malformed> {
        Records::new(text).map(|record| record.map(|record| (record.line, record.fields))).collect()
    }

    #[test]
    fn records_as_they_occur() {
        type Row = (&'static str, &'static [(usize, &'static [&'static str])]);
        let table: [Row; 7] = [
            ("", &[]),
            ("a,b\n", &[(1, &["a", "b"])]),
            ("\u{FEFF}a,b\r\nc,\r\n", &[(1, &["a", "b"]), (2, &["c", ""])]),
            ("\"a\",3,\"\"\nx", &[(1, &["a", "3", ""]), (2, &["x"])]),
            ("\"Fly \"\"N\"\" K\",\"a,b\"", &[(1, &["Fly \"N\" K", "a,b"])]),
            ("\"two\nlines\",z\nnext", &[(1, &["two\nlines", "z"]), (3, &["next"])]),
            ("\na", &[(1, &[""]), (2, &["a"])]),
        ];
        for (text, records) in table {
            let expected: Vec<(usize, Vec<String>)> = records
                .iter()
                .map(|(line, fields)| (*line, fields.iter().map(ToString::to_string).collect()))
                .collect();
            assert_eq!(read(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_csv_is_named_with_its_line() {
        for (text, line) in [("a\n\"b", 2), ("a\nb\nc\"d", 3), ("\"a\nb\"c", 2), ("\"a\"\rb", 1)] {
            assert_eq!(read(text).err().map(|error| error.line), Some(line), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_fields_come_back(fields in prop::collection::vec("[a,\"\n\rü]{0,6}", 1..6)) {
            let quoted: Vec<_> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
            let records = read(&(quoted.join(",") + "\n"));
            prop_assert_eq!(records, Ok(vec![(1, fields)]));
        }

        #[test]
        fn any_text_ends(text in "[a,\"\n\r]{0,40}") {
            prop_assert!(Records::new(&text).count() <= text.len());
        }
    }
}

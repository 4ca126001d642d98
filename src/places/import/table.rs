//! Reads CSV with a header. [`Columns`] names the columns, or the reader guesses them by their names. Of the separators it
//! takes the one that gives the header the most such names.
//!
//! A row can span several lines inside quotes. An invalid row costs only its first line, because an unclosed quote must not
//! swallow the following rows. Invariant: memory holds at most one row of [`LINE_BYTES_MAX`] bytes.

use super::error::{ImportError, Wrong};
use super::lines::{LINE_BYTES_MAX, Line, Lines};
use super::row::{Id, Row, degrees, name, vicinity};
use super::{Columns, Outcome, Take, csv};
use crate::places::file::encode::Place;
use crate::places::file::format::Kind;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, BufRead};
use std::path::Path;

const REMEDY_CSV: &str = "a field that holds a quote is quoted, and the quote in it doubled";

/// What the columns of [`Columns::ROLES`] are called if `--columns` does not name them, the best name first.
const GUESSES: [&[&str]; Columns::ROLES.len()] = [
    &["name", "title"],
    &["lat", "latitude", "y"],
    &["lon", "lng", "long", "longitude", "x"],
    &["type", "kind", "category"],
    &["vicinity", "address"],
    &["id"],
];

/// The column with one of these names, in capitals or not. If there is none, the column with a name and a remark, such as
/// `Lat (WGS 84)` or `Name, town`.
fn column_of(header: &[String], names: &[&str]) -> Option<usize> {
    let is_with_remark = |field: &str, name: &str| {
        let parts = field.split_at_checked(name.len());
        parts.is_some_and(|(begin, remark)| {
            begin.eq_ignore_ascii_case(name) && remark.trim_start().starts_with(['(', '[', ',', '/'])
        })
    };
    let exact =
        names.iter().find_map(|name| header.iter().position(|field| field.eq_ignore_ascii_case(name)));
    exact
        .or_else(|| names.iter().find_map(|name| header.iter().position(|field| is_with_remark(field, name))))
}

/// Calls `take` with each row. A row without a type gets `kind`. `file_number` separates the file's ids from other files'
/// ids.
pub(super) fn read(
    reader: impl BufRead,
    file: &Path,
    columns: &Columns,
    (kind, file_number): (Kind, u32),
    take: Take<'_>,
) -> Result<(), ImportError> {
    let mut table = Table::new(reader, columns);
    let fail = |error| ImportError::Read(file.into(), error);
    let header = match table.next().map_err(fail)? {
        Some((_, Ok(header))) => header,
        Some((line, Err(wrong))) => {
            let what = format!("the header: {} ({})", wrong.what, wrong.remedy);
            return Err(ImportError::Malformed(file.into(), line, what.into()));
        }
        None => return Err(ImportError::Malformed(file.into(), 1, "is empty (a header is due)".into())),
    };
    let places =
        Places::of(columns, header).map_err(|what| ImportError::Malformed(file.into(), 1, what.into()))?;
    while let Some((line, fields)) = table.next().map_err(fail)? {
        let outcome = match fields {
            // A blank line, or the empty rows that Excel writes behind a table.
            Ok(fields) if fields.iter().all(|field| field.trim().is_empty()) => continue,
            Ok(fields) => places.row(&fields, kind, file_number),
            Err(wrong) => Err(places.named(wrong)),
        };
        take(line, outcome.map_or_else(Outcome::Bad, Outcome::Row))?;
    }
    Ok(())
}

/// The indexes of the used columns.
struct Places {
    header: Vec<String>,
    name: usize,
    latitude: usize,
    longitude: usize,
    kind: Option<usize>,
    vicinity: Option<usize>,
    id: Option<usize>,
}

impl Places {
    fn of(columns: &Columns, header: Vec<String>) -> Result<Self, String> {
        let header: Vec<String> = header.into_iter().map(|field| field.trim().to_owned()).collect();
        let find = |role: usize| match &columns.given[role] {
            Some(given) => {
                let at = header.iter().position(|field| field == given);
                at.map(Some).ok_or_else(|| {
                    let what =
                        format!("--columns {}={given}: the header has no such column", Columns::ROLES[role]);
                    format!("{what} (it has: {})", shown(&header))
                })
            }
            None => Ok(column_of(&header, GUESSES[role])),
        };
        let due = |role: usize| {
            find(role)?.ok_or_else(|| {
                let what = format!("no column is called {}", GUESSES[role].join(" or "));
                let remedy = format!("name it: --columns {}=COLUMN", Columns::ROLES[role]);
                format!("{what} ({remedy}; the header has: {})", shown(&header))
            })
        };
        Ok(Self {
            // Numbers of `Columns::ROLES`.
            name: due(0)?,
            latitude: due(1)?,
            longitude: due(2)?,
            kind: find(3)?,
            vicinity: find(4)?,
            id: find(5)?,
            header,
        })
    }

    fn row(&self, fields: &[String], kind: Kind, file_number: u32) -> Result<Row, Wrong> {
        if fields.len() != self.header.len() {
            let what = format!("{} fields where the header has {}", fields.len(), self.header.len());
            return Err(Wrong::new(
                "columns",
                what,
                "a field that holds a separator or a line end is quoted; another separator: --separator",
            ));
        }
        let column = |at: usize| self.header[at].clone();
        let kind = match self.kind.map(|at| (at, fields[at].trim())) {
            Some((at, word)) if !word.is_empty() => kind_of(word).ok_or_else(|| {
                let shown: String = word.chars().take(40).collect();
                let remedy = "the types are in: herd places import --help";
                Wrong::new(column(at), format!("{shown:?} is not a type of places"), remedy)
            })?,
            _ => kind,
        };
        let (area, region) = match self.vicinity {
            Some(at) => vicinity(column(at), &fields[at])?,
            None => (String::new(), String::new()),
        };
        let id = self.id.map(|at| fields[at].trim()).filter(|id| !id.is_empty());
        let place = Place {
            latitude_udeg: degrees(column(self.latitude), &fields[self.latitude], 90)?,
            longitude_udeg: degrees(column(self.longitude), &fields[self.longitude], 180)?,
            kind,
            name: name(column(self.name), &fields[self.name])?,
            area: area.into(),
            region: region.into(),
        };
        Ok(Row { place, id: id.map(|id| Id::of_file(file_number, id)).transpose()?, date: 0 })
    }

    /// Replaces a column number as the member of `wrong` by the column's name.
    fn named(&self, wrong: Wrong) -> Wrong {
        let column = wrong.member.parse().ok().and_then(|at: usize| self.header.get(at));
        match column {
            Some(column) => Wrong { member: Cow::Owned(column.clone()), ..wrong },
            None => wrong,
        }
    }
}

/// A header as a message shows it.
fn shown(header: &[String]) -> String {
    header.join(", ").chars().take(200).collect()
}

/// The kind of a word in a table: one of Google's words in any spelling (`Gas station`).
fn kind_of(word: &str) -> Option<Kind> {
    Kind::of_word(&word.to_ascii_lowercase().replace([' ', '-'], "_"))
}

/// The rows of a text.
struct Table<'a, R> {
    lines: Lines<R>,
    /// Lines of an invalid row, to be read again. `None` for a row that was too long.
    back: VecDeque<Option<Vec<u8>>>,
    columns: &'a Columns,
    /// The character between two fields, given or detected in the header.
    separator: char,
    line: Vec<u8>,
    row: Vec<u8>,
}

/// A row's fields or an error. The error's member is the number of the column, if one column is the cause.
type Fields = Result<Vec<String>, Wrong>;

impl<'a, R: BufRead> Table<'a, R> {
    fn new(reader: R, columns: &'a Columns) -> Self {
        let (line, row) = (Vec::new(), Vec::new());
        let separator = columns.separator.unwrap_or(',');
        Self { lines: Lines::new(reader), back: VecDeque::new(), columns, separator, line, row }
    }

    fn next_line(&mut self) -> io::Result<Line> {
        match self.back.pop_front() {
            Some(Some(line)) => {
                self.line = line;
                Ok(Line::Whole)
            }
            Some(None) => Ok(Line::TooLong),
            None => self.lines.next(&mut self.line),
        }
    }

    /// The next row and its first line. `None` at the end.
    fn next(&mut self) -> io::Result<Option<(usize, Fields)>> {
        let what = self.next_line()?;
        let number = self.lines.number() - self.back.len();
        match what {
            Line::End => return Ok(None),
            Line::TooLong => return Ok(Some((number, Err(too_long())))),
            Line::Whole => {}
        }
        self.row.clear();
        self.row.extend_from_slice(&self.line);
        let mut more = VecDeque::new();
        let mut wrong = None;
        let mut is_open = is_odd(&self.line, false);
        // A row ends at a line end outside quotes: where the number of quotes so far is even.
        while is_open && wrong.is_none() {
            match self.next_line()? {
                Line::End => wrong = Some(Wrong::new("row", "a quoted field has no end", REMEDY_CSV)),
                Line::TooLong => {
                    more.push_back(None);
                    wrong = Some(too_long());
                }
                Line::Whole => {
                    is_open = is_odd(&self.line, is_open);
                    self.row.push(b'\n');
                    self.row.extend_from_slice(&self.line);
                    more.push_back(Some(std::mem::take(&mut self.line)));
                    if self.row.len() > LINE_BYTES_MAX {
                        wrong = Some(too_long());
                    }
                }
            }
        }
        if number == 1 && self.columns.separator.is_none() {
            self.separator = separator_of(&self.row, self.columns);
        }
        let fields = wrong.map_or_else(|| fields(&self.row, self.separator), Err);
        if fields.is_err() {
            more.append(&mut self.back);
            self.back = more;
        }
        Ok(Some((number, fields)))
    }
}

fn too_long() -> Wrong {
    let what = format!("is longer than {LINE_BYTES_MAX} bytes");
    Wrong::new("row", what, "has a quote before it no end?")
}

/// Whether a quote is open after `line`: its count of quotes plus the open one before it is odd.
fn is_odd(line: &[u8], was_odd: bool) -> bool {
    line.iter().fold(was_odd, |is_odd, &byte| is_odd ^ (byte == b'"'))
}

/// The separator that gives the header the most known columns; of equals, the one that gives it the most columns.
fn separator_of(header: &[u8], columns: &Columns) -> char {
    let header = String::from_utf8_lossy(header);
    let score = |separator: char| {
        let fields = csv::fields(&header, separator).unwrap_or_default();
        let fields: Vec<String> = fields.into_iter().map(|field| field.trim().to_owned()).collect();
        let is_known = |(given, guesses): &(&Option<String>, &[&str])| match given {
            Some(given) => fields.contains(given),
            None => column_of(&fields, guesses).is_some(),
        };
        (columns.given.iter().zip(GUESSES).filter(is_known).count(), fields.len())
    };
    // Of equals `max_by_key` takes the last.
    ['|', '\t', ';', ','].into_iter().max_by_key(|separator| score(*separator)).unwrap_or(',')
}

fn fields(row: &[u8], separator: char) -> Fields {
    let malformed = |what: &'static str| Wrong::new("row", what, REMEDY_CSV);
    match std::str::from_utf8(row) {
        Ok(text) => csv::fields(text, separator).map_err(malformed),
        Err(_) => {
            let fields = csv::fields(&String::from_utf8_lossy(row), separator).map_err(malformed)?;
            let column = fields.iter().position(|field| field.contains('\u{FFFD}'));
            let member = column.map_or_else(|| "row".to_owned(), |column| column.to_string());
            Err(Wrong::new(member, "is not UTF-8", "convert it: iconv -f LATIN1 -t UTF-8 FILE > NEW"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::shown_rows;
    use super::*;
    use proptest::prelude::*;

    fn rows_of(bytes: &[u8], columns: &Columns) -> Result<Vec<String>, String> {
        let mut failed = Ok(());
        let rows = shown_rows(|take| {
            if let Err(error) = read(bytes, Path::new("x"), columns, (Kind::PointOfInterest, 3), take) {
                failed = Err(error.to_string());
            }
            Ok(())
        });
        failed.map(|()| rows)
    }

    fn assert_rows(table: &[(&[u8], &[&str])]) {
        for (text, expected) in table {
            let rows = rows_of(text, &Columns::default());
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            assert_eq!(rows, Ok(expected), "{}", String::from_utf8_lossy(text));
        }
    }

    /// The expected text of a row without a type at 1 and 2 degrees, without its line and name.
    const X: &str = "PointOfInterest 1000000 2000000";
    const QUOTE: &str = "(a field that holds a quote is quoted, and the quote in it doubled)";

    #[test]
    fn rows_as_they_occur() {
        assert_rows(&[
            (b"name,lat,lon\nA,1,2\n", &[&format!("2 {X} A |  |  | ")]),
            (
                b"Title;Latitude;LNG;Category\r\nA;1;2;Gas station\r\n\r\n",
                &["2 GasStation 1000000 2000000 A |  |  | "],
            ),
            (b"x\ty\tname\n2\t1\tA,B", &[&format!("2 {X} A,B |  |  | ")]),
            (
                b"name,lat,lon,address,id\n\"A \"\"B\"\"\",1,2,\"12 Main St,\nSpringfield, IL\",7\nC,1,2,,\n",
                &[
                    &format!("2 {X} A \"B\" | 12 Main St | Springfield, IL | 7 0"),
                    &format!("4 {X} C |  |  | "),
                ],
            ),
            (b"name,lat,lon,type\nA,1,2,\n", &[&format!("2 {X} A |  |  | ")]),
            (b"name,lat,lon\n", &[]),
            (
                b"Name;Lat;Lon;Address (street, town)\nA;1;2;\"1 Main St, X\"\n",
                &[&format!("2 {X} A | 1 Main St | X | ")],
            ),
            (b"name\tlat\tlon\taddress, town\nA\t1\t2\tx\n", &[&format!("2 {X} A | x |  | ")]),
            (b"a,b;name;lat;lon\nx;A;1;2\n", &[&format!("2 {X} A |  |  | ")]),
            (b"\"Name, Ort\";lat;lon\n\"A\";1;2\n", &[&format!("2 {X} A |  |  | ")]),
            (b"Lat (WGS 84),Lon [deg],name of owner,NAME\n1,2,B,A\n", &[&format!("2 {X} A |  |  | ")]),
            (b"name|lat|lon\nA, B|1|2\n", &[&format!("2 {X} A, B |  |  | ")]),
            (b"name,lat,lon\rA,1,2\rB,1,2\r", &[&format!("2 {X} A |  |  | "), &format!("3 {X} B |  |  | ")]),
            (b"name,lat,lon\r\r\nA,1,2\r\r\n", &[&format!("2 {X} A |  |  | ")]),
            (
                b"name,lat,lon\nA,1,2\n,,\n , ,\nB,1,2\n,,\n",
                &[&format!("2 {X} A |  |  | "), &format!("5 {X} B |  |  | ")],
            ),
            (b"name,lat,lon\n42,1,2\n", &[&format!("2 {X} 42 |  |  | ")]),
        ]);
    }

    #[test]
    fn bad_rows_name_the_column() {
        assert_rows(&[
            (
                b"name,lat,lon,type\nA,1,2,cafee\n",
                &[
                    "2 bad: type: \"cafee\" is not a type of places (the types are in: herd places import --help)",
                ],
            ),
            (b"name,lat,lon\n,1,2\n", &["2 bad: name: is empty (give the place a name)"]),
            (
                b"name,lat,lon\nA,1\nB,1,2\n",
                &[
                    "2 bad: columns: 2 fields where the header has 3 (a field that holds a separator or a line end is quoted; another separator: --separator)",
                    &format!("3 {X} B |  |  | "),
                ],
            ),
            (
                b"name,lat,lon\nA,118,2\n",
                &[
                    "2 bad: lat: \"118\" is not a number from -90 to 90 (are latitude and longitude swapped? positions are decimal degrees)",
                ],
            ),
            (
                b"name,lat,lon\n\xE9,1,2\nB,1,2",
                &[
                    "2 bad: name: is not UTF-8 (convert it: iconv -f LATIN1 -t UTF-8 FILE > NEW)",
                    &format!("3 {X} B |  |  | "),
                ],
            ),
        ]);
    }

    #[test]
    fn a_wrong_quote_costs_its_line_alone() {
        assert_rows(&[
            // An unclosed quote, a quote in a field, and a quote that another row's quote closes.
            (
                b"name,lat,lon\n\"A,1,2\nB,1,2\nC,1,2\n",
                &[
                    &format!("2 bad: row: a quoted field has no end {QUOTE}"),
                    &format!("3 {X} B |  |  | "),
                    &format!("4 {X} C |  |  | "),
                ],
            ),
            (
                b"name,lat,lon\n5\" pipe,1,2\nB,1,2\n",
                &[&format!("2 bad: row: a quoted field has no end {QUOTE}"), &format!("3 {X} B |  |  | ")],
            ),
            (
                b"name,lat,lon\n\"A,1,2\nB,1,2\n\"C\",1,2\n",
                &[
                    &format!("2 bad: row: a quoted field has no end {QUOTE}"),
                    &format!("3 {X} B |  |  | "),
                    &format!("4 {X} C |  |  | "),
                ],
            ),
            (
                b"name,lat,lon\n\"A,1,2\nB,1,2\n\"C,1,2\nD,1,2\n",
                &[
                    &format!("2 bad: row: text between a field's closing quote and the separator {QUOTE}"),
                    &format!("3 {X} B |  |  | "),
                    &format!("4 bad: row: a quoted field has no end {QUOTE}"),
                    &format!("5 {X} D |  |  | "),
                ],
            ),
        ]);
    }

    #[test]
    fn columns_are_named_or_guessed() {
        let columns = Columns::parse("name=Bez,vicinity=Ort").expect("known roles");
        let rows = rows_of(b"name,Bez,Ort,lat,lon\nA,B,C,1,2", &columns);
        assert_eq!(rows, Ok(vec!["2 PointOfInterest 1000000 2000000 B | C |  | ".to_owned()]));
        let named = Columns::parse("name=Name, Ort").expect("a column may hold a comma");
        assert_eq!(
            rows_of(b"\"Name, Ort\";lat;lon\n\"A\";1;2\n", &named),
            Ok(vec![format!("2 {X} A |  |  | ")])
        );
        let given = Columns { separator: Some('#'), ..Columns::default() };
        assert_eq!(rows_of(b"name#lat#lon\nA,B#1#2\n", &given), Ok(vec![format!("2 {X} A,B |  |  | ")]));
        for (text, expected) in [
            (
                "name,lat,lon\n",
                "x:1: --columns name=Bez: the header has no such column (it has: name, lat, lon)",
            ),
            ("", "x:1: is empty (a header is due)"),
            (
                "Bez,Ort,lat\n",
                "x:1: no column is called lon or lng or long or longitude or x (name it: --columns lon=COLUMN; the header has: Bez, Ort, lat)",
            ),
            (
                "\"Bez,lat,lon\nB,1,2\n",
                "x:1: the header: a quoted field has no end (a field that holds a quote is quoted, and the quote in it doubled)",
            ),
        ] {
            assert_eq!(rows_of(text.as_bytes(), &columns), Err(expected.to_owned()));
        }
    }

    #[test]
    fn a_row_is_bounded() {
        let long = "x".repeat(LINE_BYTES_MAX);
        let text = format!("name,lat,lon\n{long},1,2\n\"A\n{long}\",1,2\nB,1,2\n");
        let rows = rows_of(text.as_bytes(), &Columns::default()).expect("the header is right");
        let begin = |row: &str| row.chars().take(30).collect::<String>();
        let rows: Vec<_> = rows.iter().map(|row| begin(row)).collect();
        assert_eq!(
            rows,
            [
                "2 bad: row: is longer than 6553",
                "3 bad: row: is longer than 6553",
                "4 bad: row: is longer than 6553",
                "5 PointOfInterest 1000000 2000"
            ]
            .map(begin)
        );
    }

    proptest! {
        #[test]
        fn any_text_gives_rows_and_ends(text in "[a1,\"\n\r]{0,60}") {
            let text = format!("name,lat,lon\n{text}");
            let rows = rows_of(text.as_bytes(), &Columns::default());
            prop_assert!(rows.is_ok_and(|rows| rows.len() <= text.split(['\n', '\r']).count()));
        }
    }
}

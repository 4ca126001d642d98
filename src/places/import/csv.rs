//! Reads a row of CSV as in RFC 4180. A comma or another character separates fields. Quotes enclose fields that hold a
//! separator or a line end, and a quote within quotes is doubled.
//!
//! The crate `csv` would add three packages to every node for a command that a node does not run. It also accepts invalid
//! input without an error. This module does not know places.

/// The fields of a row.
///
/// # Errors
/// The mistake, in a few words.
pub(super) fn fields(row: &str, separator: char) -> Result<Vec<String>, &'static str> {
    let mut fields = Vec::new();
    let mut rest = row;
    loop {
        let (field, after) = field(rest, separator)?;
        fields.push(field);
        match after.strip_prefix(separator) {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err("text between a field's closing quote and the separator"),
        }
    }
}

/// The field at the begin of `rest`, and what follows it.
fn field(rest: &str, separator: char) -> Result<(String, &str), &'static str> {
    let Some(mut quoted) = rest.strip_prefix('"') else {
        let (field, after) = rest.split_at(rest.find(separator).unwrap_or(rest.len()));
        if field.contains('"') {
            return Err("a quote inside a field that does not begin with one");
        }
        return Ok((field.to_owned(), after));
    };
    let mut field = String::new();
    loop {
        let (part, after) = quoted.split_once('"').ok_or("a quoted field has no end")?;
        field.push_str(part);
        let Some(more) = after.strip_prefix('"') else { return Ok((field, after)) };
        field.push('"');
        quoted = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_as_they_occur() {
        type Row = (&'static str, char, Result<&'static [&'static str], &'static str>);
        let table: [Row; 9] = [
            ("", ',', Ok(&[""])),
            ("a,b", ',', Ok(&["a", "b"])),
            ("c,", ',', Ok(&["c", ""])),
            ("\"a\",3,\"\"", ',', Ok(&["a", "3", ""])),
            ("\"Fly \"\"N\"\" K\",\"a,b\"", ',', Ok(&["Fly \"N\" K", "a,b"])),
            ("\"two\nlines\";z\r", ';', Ok(&["two\nlines", "z\r"])),
            ("\"b", ',', Err("a quoted field has no end")),
            ("c\"d", ',', Err("a quote inside a field that does not begin with one")),
            ("\"a\"c", ',', Err("text between a field's closing quote and the separator")),
        ];
        for (row, separator, expected) in table {
            let expected = expected.map(|fields| fields.iter().map(ToString::to_string).collect());
            assert_eq!(fields(row, separator), expected, "{row:?}");
        }
    }

    proptest! {
        #[test]
        fn any_fields_come_back(all in prop::collection::vec("[a,\"\n\rü]{0,6}", 1..6)) {
            let quoted: Vec<_> = all.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
            prop_assert_eq!(fields(&quoted.join(","), ','), Ok(all));
        }

        #[test]
        fn any_text_ends(text in "[a,\"\n\r]{0,40}") {
            prop_assert!(fields(&text, ',').map_or(0, |fields| fields.len()) <= text.len() + 1);
        }
    }
}

//! Forms: `application/x-www-form-urlencoded`, in a body, in a query, or in both.

use super::PHONE_FIELDS_MAX;
use crate::percent::byte_of;

/// The fields of a body and of a query. The body's come first.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    body: &'a [u8],
    query: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(body: &'a [u8], query: &'a str) -> Self {
        Fields { body, query: query.as_bytes() }
    }

    /// The value of the first of these names that has one. A value that is not UTF-8 counts as none.
    pub(super) fn value(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.values(name).find(|value| !value.is_empty()))
    }

    fn values(&self, name: &str) -> impl Iterator<Item = String> {
        let pairs = [self.body, self.query]
            .into_iter()
            .flat_map(|text| text.split(|&byte| byte == b'&').take(PHONE_FIELDS_MAX));
        pairs.filter_map(move |pair| {
            let equals = pair.iter().position(|&byte| byte == b'=')?;
            if !decoded(&pair[..equals]).eq(name.bytes()) {
                return None;
            }
            String::from_utf8(decoded(&pair[equals + 1..]).collect()).ok()
        })
    }
}

/// The bytes of a part of a form: `+` is a blank, `%41` a byte. A `%` that does not begin a byte stays.
fn decoded(part: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = part;
    std::iter::from_fn(move || {
        let (&first, more) = rest.split_first()?;
        let byte = more.get(..2).filter(|_| first == b'%').and_then(byte_of);
        rest = if byte.is_some() { &more[2..] } else { more };
        Some(byte.unwrap_or(if first == b'+' { b' ' } else { first }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_fields_are_not_looked_at() {
        let field = |at: usize| format!("{}a=1", "%=a&".repeat(at));
        for (at, is_found) in [(PHONE_FIELDS_MAX - 1, true), (PHONE_FIELDS_MAX, false)] {
            assert_eq!(Fields::of(field(at).as_bytes(), "").value(&["a"]).is_some(), is_found, "{at}");
            assert_eq!(Fields::of(b"", &field(at)).value(&["a"]).is_some(), is_found, "{at}");
        }
    }

    #[test]
    fn a_field_is_found_and_decoded() {
        let fields = Fields::of(b"a=1&b=&c=x%20y+z%&caf%C3%A9=%C3%A9&bad=%FF&d", "b=2&a=3&%64=4");
        for (names, expected) in [
            (&["a"][..], Some("1")),
            (&["b"], Some("2")),
            (&["none", "c"], Some("x y z%")),
            (&["caf\u{e9}"], Some("\u{e9}")),
            (&["bad"], None),
            (&["d"], Some("4")),
            (&["A"], None),
            (&[], None),
        ] {
            assert_eq!(fields.value(names).as_deref(), expected, "{names:?}");
        }
    }
}

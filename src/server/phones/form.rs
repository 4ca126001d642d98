//! Forms: `application/x-www-form-urlencoded`, in a body, in a query, or in both.

use std::borrow::Cow;

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
        let pairs = [self.body, self.query].into_iter().flat_map(|text| text.split(|&byte| byte == b'&'));
        pairs.filter_map(move |pair| {
            let equals = pair.iter().position(|&byte| byte == b'=')?;
            let is_named = &*decoded(&pair[..equals]) == name.as_bytes();
            String::from_utf8(decoded(&pair[equals + 1..]).into_owned()).ok().filter(|_| is_named)
        })
    }
}

/// The bytes of a part of a form: `+` is a blank, `%41` a byte. A `%` that does not begin a byte stays.
fn decoded(part: &[u8]) -> Cow<'_, [u8]> {
    if !part.iter().any(|byte| b"+%".contains(byte)) {
        return Cow::Borrowed(part);
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part;
    while let Some((&first, more)) = rest.split_first() {
        let byte = more.get(..2).filter(|_| first == b'%').and_then(byte_of);
        rest = if byte.is_some() { &more[2..] } else { more };
        bytes.push(byte.unwrap_or(if first == b'+' { b' ' } else { first }));
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

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

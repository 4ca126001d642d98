//! Client ids as text. An id is any bytes but white space, and JSON and event streams are UTF-8.
//!
//! Bytes that are not UTF-8 are percent-encoded, and so is `%` itself. So two ids never have one text.

use std::borrow::Cow;

use crate::percent;
use crate::percent::byte_of;

/// The text of an id: `caf%E9` for the bytes of `café` in Latin-1, `50%25` for `50%`.
#[must_use]
pub fn encoded(id: &[u8]) -> Cow<'_, str> {
    if let Some(text) = str::from_utf8(id).ok().filter(|text| !text.contains('%')) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(percent::encoded(id, |c| c != '%'))
}

/// The id of a text that [`encoded`] made. `None` if a `%` does not begin an encoded byte.
#[must_use]
pub fn decoded(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut parts = text.split(|&byte| byte == b'%');
    let first = parts.next().filter(|first| first.len() < text.len());
    let Some(first) = first else { return Some(Cow::Borrowed(text)) };
    let mut id = first.to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        id.push(byte_of(digits)?);
        id.extend_from_slice(rest);
    }
    Some(Cow::Owned(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_that_are_not_text_are_encoded() {
        for (id, text) in [
            (&b"kiwi.cs.ucla.edu"[..], "kiwi.cs.ucla.edu"),
            ("caf\u{e9}".as_bytes(), "caf\u{e9}"),
            (b"caf\xe9", "caf%E9"),
            (b"caf%E9", "caf%25E9"),
            (b"\xff\xfe", "%FF%FE"),
            (b"\xe2\x82.%", "%E2%82.%25"),
            ("50%\u{20ac}".as_bytes(), "50%25\u{20ac}"),
        ] {
            assert_eq!(encoded(id), text);
            assert_eq!(decoded(text.as_bytes()).as_deref(), Some(id));
        }
        for text in ["%", "%4", "a%g0", "%+1"] {
            assert_eq!(decoded(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn each_id_has_a_text_of_its_own(id in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'%')], 1..65)) {
            let text = encoded(&id).into_owned();
            prop_assert!(text.len() <= 3 * id.len());
            let back = decoded(text.as_bytes()).map(Cow::into_owned);
            prop_assert_eq!(back, Some(id));
        }
    }
}

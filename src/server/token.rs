//! The token that opens a node's page to other machines, since positions are personal data.
//!
//! The token is derived from the herd's key by HMAC, so an operator has no further secret to manage. It has 80 bits, as 16
//! unambiguous letters and digits (Crockford's base 32), and is the same for all nodes of a herd. `herd token` computes it
//! from the key; the key cannot be computed from the token. A new key gives a new token. The old token is valid as long as
//! the previous key is in the key file.
//!
//! A client sends it as the password of HTTP's Basic authentication (RFC 7617), for which browsers show a dialog, or as a
//! bearer token (RFC 6750). The node never logs it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::proto::auth::{Keys, same};

/// The purpose in the derivation.
const PURPOSE: &[u8] = b"page";
/// Letters and digits of a token, five bits each.
const DIGITS: usize = 16;
/// Crockford's: no i, l, o and u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The token of one key.
#[derive(Clone, Copy)]
pub struct Token([u8; DIGITS]);

impl Token {
    /// The tokens of these keys, first that of the current key.
    pub fn of(keys: &Keys) -> impl Iterator<Item = Token> {
        keys.derived(PURPOSE).map(|secret| {
            let bits = secret[..10].iter().fold(0_u128, |bits, &byte| bits << 8 | u128::from(byte));
            let digit = |place: usize| (bits >> (5 * (DIGITS - 1 - place)) & 31) as usize;
            Token(std::array::from_fn(|place| ALPHABET[digit(place)]))
        })
    }

    /// Whether this word is the token. Upper case and dashes make no difference.
    fn is(&self, word: &[u8]) -> bool {
        let mut digits = word.iter().filter(|&&byte| byte != b'-').map(u8::to_ascii_lowercase);
        let given: [u8; DIGITS] = std::array::from_fn(|_| digits.next().unwrap_or(0));
        same(&self.0, &given) && digits.next().is_none()
    }
}

impl fmt::Display for Token {
    /// In four groups.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (index, group) in self.0.chunks(4).enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { "-" }, String::from_utf8_lossy(group))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Whether the value of an `Authorization` header contains the token of one of these keys.
#[must_use]
pub fn opens(keys: &Keys, authorization: &[u8]) -> bool {
    let (scheme, rest) = match authorization.iter().position(|&byte| byte == b' ') {
        Some(blank) => (&authorization[..blank], authorization[blank..].trim_ascii()),
        None => return false,
    };
    let any = |word: &[u8]| Token::of(keys).fold(false, |is, token| is | token.is(word));
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return any(rest);
    }
    // The user's name does not matter: browsers will not leave it out.
    let decoded = STANDARD.decode(rest).unwrap_or_default();
    let colon = decoded.iter().position(|&byte| byte == b':');
    scheme.eq_ignore_ascii_case(b"basic") && colon.is_some_and(|colon| any(&decoded[colon + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new([1; 32], Some([2; 32]))
    }

    fn basic(text: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(text)).into_bytes()
    }

    #[test]
    fn the_word_of_a_key_is_the_same_for_ever() {
        let words: Vec<String> = Token::of(&keys()).map(|token| token.to_string()).collect();
        // From Python: hmac.new(bytes([1]) * 32, b"herd derived 1 page", "sha256").digest()[:10], in base 32.
        assert_eq!(words, ["tqjy-0z5k-psqp-z5t2", "yt5t-ww0a-8v93-k796"]);
        assert_eq!(format!("{:?}", Token::of(&keys()).next()), "Some(Token(..))");
    }

    #[test]
    fn the_words_of_both_keys_open_and_nothing_else_does() {
        let words: Vec<String> = Token::of(&keys()).map(|token| token.to_string()).collect();
        for word in &words {
            for form in [word.clone(), word.to_uppercase(), word.replace('-', "")] {
                assert!(opens(&keys(), format!("Bearer {form}").as_bytes()), "{form}");
                assert!(opens(&keys(), &basic(&format!("anybody:{form}"))), "{form}");
            }
        }
        let word = &words[0];
        let others = Token::of(&Keys::new([3; 32], None)).next().expect("one key").to_string();
        for wrong in ["", "Bearer", "Bearer ", "Basic", "Basic !", "Basic Og==", "Digest x"] {
            assert!(!opens(&keys(), wrong.as_bytes()), "{wrong}");
        }
        for wrong in [&others, &word[..18], &format!("{word}0"), &format!("{word}\u{0}"), ""] {
            assert!(!opens(&keys(), format!("Bearer {wrong}").as_bytes()), "{wrong}");
            assert!(!opens(&keys(), &basic(&format!(":{wrong}"))), "{wrong}");
        }
        assert!(!opens(&keys(), &basic(word)), "a user name is not a password");
    }
}

//! Tokens: one opens a node's page to other machines, and each name has one with which its phones report positions.
//!
//! A token is derived from the herd's key by HMAC, so an operator has no further secret to manage. It has 80 bits, as 16
//! unambiguous letters and digits (Crockford's base 32), and is the same for all nodes of a herd. `herd token` computes it
//! from the key; the key cannot be computed from the token. A new key gives new tokens. The old tokens are valid as long as
//! the previous key is in the key file.
//!
//! A client sends it as the password of HTTP's Basic authentication (RFC 7617), for which browsers show a dialog, or as a
//! bearer token (RFC 6750). The node never logs it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::proto::auth::{Keys, same};

/// The purpose in the derivation of the page's token.
const PAGE: &[u8] = b"page";
/// The begin of the purpose in the derivation of a name's token.
const PHONE: &[u8] = b"phone ";
/// Letters and digits of a token, five bits each.
const DIGITS: usize = 16;
/// Crockford's: no i, l, o and u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The name whose token may report for every client: of a gateway.
pub const EVERY_NAME: &str = "*";

/// The token of one key.
#[derive(Clone, Copy)]
pub struct Token([u8; DIGITS]);

impl Token {
    /// The tokens of the page by these keys, first that of the current key.
    pub fn of_page(keys: &Keys) -> impl Iterator<Item = Token> {
        keys.derived(PAGE).map(Token::of_secret)
    }

    /// The tokens of a name's phones by these keys, first that of the current key. Each number makes another token: a name whose
    /// token was lost gets the next number. The first is 1.
    #[must_use]
    pub fn of_phone(keys: &Keys, name: &[u8], number: u32) -> Vec<Token> {
        let mut purpose = [PHONE, name].concat();
        if number > 1 {
            // No name has a blank.
            purpose.extend_from_slice(format!(" {number}").as_bytes());
        }
        keys.derived(&purpose).map(Token::of_secret).collect()
    }

    fn of_secret(secret: [u8; 32]) -> Token {
        let bits = secret[..10].iter().fold(0_u128, |bits, &byte| bits << 8 | u128::from(byte));
        let digit = |place: usize| (bits >> (5 * (DIGITS - 1 - place)) & 31) as usize;
        Token(std::array::from_fn(|place| ALPHABET[digit(place)]))
    }

    /// Whether a word has as many letters and digits as a token. It need not be one.
    #[must_use]
    pub fn fits(word: &[u8]) -> bool {
        let digits = word.iter().filter(|&&byte| byte != b'-');
        word.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') && digits.count() == DIGITS
    }

    /// Whether this word is the token. Upper case and dashes make no difference.
    #[must_use]
    pub fn is(&self, word: &[u8]) -> bool {
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

/// The user and the password in the value of an `Authorization` header; a bearer has no user. `None` for another scheme.
#[must_use]
pub fn credentials(authorization: &[u8]) -> Option<(Option<Vec<u8>>, Vec<u8>)> {
    let blank = authorization.iter().position(|&byte| byte == b' ')?;
    let (scheme, rest) = (&authorization[..blank], authorization[blank..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some((None, rest.to_vec()));
    }
    let mut user = STANDARD.decode(rest).ok().filter(|_| scheme.eq_ignore_ascii_case(b"basic"))?;
    let colon = user.iter().position(|&byte| byte == b':')?;
    let password = user.split_off(colon + 1);
    user.truncate(colon);
    Some((Some(user), password))
}

/// Whether the value of an `Authorization` header contains the page's token by one of these keys. The user's name does not
/// matter: browsers will not leave it out.
#[must_use]
pub fn opens(keys: &Keys, authorization: &[u8]) -> bool {
    credentials(authorization)
        .is_some_and(|(_, word)| Token::of_page(keys).fold(false, |is, token| is | token.is(&word)))
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
        let words: Vec<String> = Token::of_page(&keys()).map(|token| token.to_string()).collect();
        // From Python: hmac.new(bytes([1]) * 32, b"herd derived 1 page", "sha256").digest()[:10], in base 32.
        assert_eq!(words, ["tqjy-0z5k-psqp-z5t2", "yt5t-ww0a-8v93-k796"]);
        // b"herd derived 1 phone ann", and with b" 2".
        let phones = [1, 2].map(|number| Token::of_phone(&keys(), b"ann", number)[0].to_string());
        assert_eq!(phones, ["3jfc-xyw3-g8kw-qhd4", "my8s-pa0q-7h4m-2kkk"]);
        assert_eq!(format!("{:?}", Token::of_page(&keys()).next()), "Some(Token(..))");
    }

    #[test]
    fn the_words_of_both_keys_open_and_nothing_else_does() {
        let words: Vec<String> = Token::of_page(&keys()).map(|token| token.to_string()).collect();
        for word in &words {
            for form in [word.clone(), word.to_uppercase(), word.replace('-', "")] {
                assert!(opens(&keys(), format!("Bearer {form}").as_bytes()), "{form}");
                assert!(opens(&keys(), &basic(&format!("anybody:{form}"))), "{form}");
            }
        }
        let word = &words[0];
        let others = Token::of_page(&Keys::new([3; 32], None)).next().expect("one key").to_string();
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

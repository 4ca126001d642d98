//! Which requests may report: a token of the client's name, of its user, or of all.
//!
//! Apps have different places for a token: the password of HTTP's Basic authentication (OwnTracks, GPSLogger), a bearer
//! (Overland), or a segment of the path (Traccar Client and OsmAnd have no other place).

use std::borrow::Cow;

use super::PhoneGuard;
use super::request::Head;
use crate::proto::auth::Keys;
use crate::proto::fields::ClientId;
use crate::server::token::{EVERY_NAME, Token, credentials};

/// Segments of a path that are compared with tokens.
const SEGMENTS_MAX: usize = 4;

/// What a request shows of its sender.
#[derive(Debug)]
pub(super) struct Credentials<'a> {
    /// The user of HTTP's Basic authentication.
    pub(super) user: Option<String>,
    /// What may be a token.
    words: Vec<Cow<'a, [u8]>>,
}

impl<'a> Credentials<'a> {
    pub(super) fn of(head: &Head<'a>) -> Self {
        let (user, word) = head.authorization.and_then(credentials).unzip();
        let user = user.flatten().and_then(|user| String::from_utf8(user).ok());
        let segments = head.path.split('/').map(str::as_bytes).filter(|segment| Token::fits(segment));
        Credentials {
            user: user.filter(|user| !user.is_empty()),
            words: word
                .into_iter()
                .map(Cow::Owned)
                .chain(segments.map(Cow::Borrowed).take(SEGMENTS_MAX))
                .collect(),
        }
    }

    /// The name whose token the request has, if that name may report for this client; none in a herd without a key.
    pub(super) fn name(&self, guard: &PhoneGuard, id: Option<&str>) -> Result<Option<String>, ()> {
        let Some(keys) = &guard.keys else { return Ok(None) };
        // A user that no client can be has no token: with a blank it would be the name of another's next token.
        let is_client = |user: &&str| ClientId::parse(user.as_bytes()).is_some();
        let own = id.or(self.user.as_deref().filter(is_client));
        let user = id.and_then(|id| id.rsplit_once('.')).map(|(user, _)| user);
        // Most phones have the token of their user.
        let mut names = [user, own, Some(EVERY_NAME)].into_iter().flatten();
        let name = names.find(|name| self.has_token_of(guard, keys, name.as_bytes()));
        name.map(|name| Some(name.to_owned())).ok_or(())
    }

    /// Whether one of the words is a token of this name. The time does not depend on which, or how much of it is right.
    fn has_token_of(&self, guard: &PhoneGuard, keys: &Keys, name: &[u8]) -> bool {
        let number = guard.settings.number(name);
        let tokens = Token::of_phone(keys, name, number);
        let is_any = |token: &Token| self.words.iter().fold(false, |is, word| is | token.is(word));
        tokens.iter().fold(false, |is, token| is | is_any(token)) && number > 0
    }
}

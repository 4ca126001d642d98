//! Why an upstream gave no answer, in words for the client and for the operator.
//!
//! Must not know how requests are made. Invariants: no message holds a key, a proxy's password or an address with a query;
//! text that the upstream wrote is cut short and printed without control characters.

use std::fmt;

/// Most bytes of an upstream's own words that a message repeats.
const WORDS_BYTES_MAX: usize = 200;

/// What kept an upstream from answering. Each kind reads differently, since each is put right differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Google's address without a key.
    NoKey,
    /// The upstream does not accept the key; its own words.
    KeyRefused(String),
    /// The key's quota is used up, or too many a second; the upstream's own words.
    Quota(String),
    /// The upstream does not accept the query; its own words.
    Refused(String),
    /// The time limit passed during this phase.
    TimedOut(Phase),
    /// No connection, or one that broke off: how.
    Unreachable(String),
    /// The certificate is not valid yet, so this board's clock is most likely wrong.
    ClockWrong,
    /// TLS failed otherwise: how.
    Tls(String),
    /// An https address in a build without TLS.
    NoTls,
    /// What came is no answer: why.
    BadJson(String),
    /// The answer is longer than the limit in bytes.
    TooLarge(usize),
    /// Another HTTP status than 200 that says no more than this.
    Status(u16),
    /// A redirect, which is not followed: the key would go with it.
    Redirect(u16),
    /// The upstream's own failing status; its own words.
    Upstream(String),
    /// The answer repeats the key, so it is not passed on.
    KeyEchoed,
    /// A setting cannot be used: which and why.
    Setting(String),
    /// The upstream was asked as often in the last minute as it may be.
    OverRate(u32),
    /// Too many queries of the same address wait for the upstream already.
    TooMany,
    /// The upstream failed so often that it is left alone; the last failure's words, and the seconds left.
    Paused(String, u64),
}

/// Where a query was when its time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for a worker.
    Queue,
    /// Looking up the upstream's name.
    Resolve,
    /// Connecting, TLS included.
    Connect,
    /// Sending the query, or waiting for the head of the answer.
    Head,
    /// Reading the answer.
    Body,
}

impl Failure {
    /// The Google status word that fits.
    pub fn status(&self) -> &'static str {
        match self {
            Self::NoKey | Self::KeyRefused(_) => "REQUEST_DENIED",
            Self::Quota(_) | Self::OverRate(_) => "OVER_QUERY_LIMIT",
            Self::Refused(_) => "INVALID_REQUEST",
            _ => "UNKNOWN_ERROR",
        }
    }

    /// Whether it says something of the upstream, not of one query or of this node: such failures in a row are a reason
    /// to leave the upstream alone.
    pub(crate) fn is_upstreams(&self) -> bool {
        !matches!(
            self,
            Self::NoKey
                | Self::Refused(_)
                | Self::NoTls
                | Self::Setting(_)
                | Self::Paused(..)
                | Self::OverRate(_)
                | Self::TooMany
                | Self::TimedOut(Phase::Queue)
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => f.write_str("no key; give one in the configuration's places.key_file"),
            Self::KeyRefused(words) => write!(f, "the upstream refused the key{}", said(words)),
            Self::Quota(words) => write!(f, "the quota is used up{}", said(words)),
            Self::Refused(words) => write!(f, "the upstream refused the query{}", said(words)),
            Self::TimedOut(phase) => write!(f, "time-out {phase}"),
            Self::Unreachable(how) => write!(f, "the upstream cannot be reached: {how}"),
            Self::ClockWrong => f.write_str(
                "TLS refused: the certificate is not valid yet, so this board's clock is wrong; set the clock",
            ),
            Self::Tls(how) => write!(f, "TLS refused: {how}"),
            Self::NoTls => f.write_str("https needs TLS, which this build is without (feature \"tls\")"),
            Self::BadJson(why) => write!(f, "bad JSON from the upstream: {why}"),
            Self::TooLarge(max) => write!(f, "the upstream's answer is too large, over {max} bytes"),
            Self::Status(status) => write!(f, "the upstream failed with HTTP status {status}"),
            Self::Redirect(status) => {
                write!(f, "the upstream answered with a redirect (HTTP status {status}), which is not followed")
            }
            Self::Upstream(words) => write!(f, "the upstream failed{}", said(words)),
            Self::KeyEchoed => f.write_str("the upstream's answer repeats the key and is not passed on"),
            Self::Setting(what) => f.write_str(what),
            Self::OverRate(per_minute) => write!(
                f,
                "this node has asked the upstream {per_minute} times in the last minute, as often as places.queries_per_minute allows"
            ),
            Self::TooMany => f.write_str("too many queries from one address wait for the upstream"),
            Self::Paused(last, seconds) => {
                write!(f, "the upstream failed repeatedly and is tried again in {seconds} s; last: {last}")
            }
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "while waiting for a worker",
            Self::Resolve => "while looking up the upstream's name",
            Self::Connect => "while connecting to the upstream",
            Self::Head => "while waiting for the upstream's answer",
            Self::Body => "while reading the upstream's answer",
        })
    }
}

/// `: ` and the upstream's words, fit to be shown; nothing where there are none.
fn said(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}

/// An upstream's words, fit to be shown: one line, of bounded length.
pub(crate) fn words(text: &str) -> String {
    let mut end = text.len().min(WORDS_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let is_odd = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}');
    let shown: String = text[..end].chars().map(|c| if is_odd(c) { ' ' } else { c }).collect();
    shown.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstreams_words_are_made_fit() {
        assert_eq!(words(" a\nb\u{1b}[2J\u{202e} "), "a b [2J");
        assert_eq!(words(&"\u{e9}".repeat(150)).len(), 200);
        assert_eq!(words(&format!("x{}", "\u{e9}".repeat(150))).len(), 199);
    }
}

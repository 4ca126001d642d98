//! Why an upstream gave no answer, as text for the client and the operator.
//!
//! This module must not know how requests are made. Invariants: no message holds a key, a proxy's password or an address
//! with a query. An upstream's text is truncated and has its control characters removed.

use std::fmt;

/// Most bytes of an upstream's text in a message.
const WORDS_BYTES_MAX: usize = 200;

/// Why an upstream gave no answer. Each kind has its own text, because each has its own remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Google's address without a key.
    NoKey,
    /// The upstream does not accept the key; the upstream's text.
    KeyRefused(String),
    /// The key's quota is used up, or the rate is too high; the upstream's text.
    Quota(String),
    /// The upstream does not accept the query; the upstream's text.
    Refused(String),
    /// The time limit passed during this phase.
    TimedOut(Phase),
    /// The connection failed or broke off: how.
    Unreachable(String),
    /// The certificate is not valid yet, so this board's clock is probably wrong.
    ClockWrong,
    /// Another failure of TLS: how.
    Tls(String),
    /// An https address in a build without TLS.
    NoTls,
    /// The response is not a valid answer: why.
    BadJson(String),
    /// The answer is longer than the limit in bytes.
    TooLarge(usize),
    /// The head of the answer is over a limit: which.
    BadHead(String),
    /// An HTTP status other than 200 without further text.
    Status(u16),
    /// A redirect. The node does not follow it, because the request contains the key.
    Redirect(u16),
    /// The upstream's own failing status; the upstream's text.
    Upstream(String),
    /// The answer contains the key, so the node does not forward it.
    KeyEchoed,
    /// An unusable setting: which and why.
    Setting(String),
    /// The node has used up its queries to the upstream for this minute.
    OverRate(u32),
    /// The address has its share of the queries that wait for the upstream.
    TooMany,
    /// The upstream failed repeatedly, so a pause began: the last failure's text, and the seconds left.
    Paused(String, u64),
}

/// The phase of a query when its time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waits for a worker.
    Queue,
    /// Looks up the upstream's name.
    Resolve,
    /// Connects, TLS included.
    Connect,
    /// Sends the query, or waits for the head of the answer.
    Head,
    /// Reads the answer.
    Body,
}

impl Failure {
    /// Google's status word for the failure.
    pub fn status(&self) -> &'static str {
        match self {
            Self::NoKey | Self::KeyRefused(_) => "REQUEST_DENIED",
            Self::Quota(_) | Self::OverRate(_) => "OVER_QUERY_LIMIT",
            Self::Refused(_) => "INVALID_REQUEST",
            _ => "UNKNOWN_ERROR",
        }
    }

    /// Whether the upstream caused the failure, and not one query or this node. Only such failures in a row begin a pause.
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
            Self::KeyRefused(words) => write!(f, "the upstream refused the key{}", quoted(words)),
            Self::Quota(words) => write!(f, "the quota is used up{}", quoted(words)),
            Self::Refused(words) => write!(f, "the upstream refused the query{}", quoted(words)),
            Self::TimedOut(phase) => write!(f, "time-out {phase}"),
            Self::Unreachable(how) => write!(f, "the upstream cannot be reached: {how}"),
            Self::ClockWrong => f.write_str(
                "TLS refused: the certificate is not valid yet, so this board's clock is wrong; set the clock",
            ),
            Self::Tls(how) => write!(f, "TLS refused: {how}"),
            Self::NoTls => f.write_str("https needs TLS, which this build is without (feature \"tls\")"),
            Self::BadJson(why) => write!(f, "bad JSON from the upstream: {why}"),
            Self::TooLarge(max) => write!(f, "the upstream's answer is too large, over {max} bytes"),
            Self::BadHead(how) => write!(f, "the upstream's answer cannot be read: {how}"),
            Self::Status(status) => write!(f, "the upstream failed with HTTP status {status}"),
            Self::Redirect(status) => {
                write!(f, "the upstream answered with a redirect (HTTP status {status}), which is not followed")
            }
            Self::Upstream(words) => write!(f, "the upstream failed{}", quoted(words)),
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

/// `: ` and the upstream's text, ready to print. Empty for an empty text.
fn quoted(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}

/// An upstream's text, ready to print: one line of bounded length.
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

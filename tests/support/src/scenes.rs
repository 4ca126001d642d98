//! Lines and checks that several tests share.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Herd;

/// The example of PROTOCOL.md.
pub const KIWI: &str = "IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1621464827.959498503";

/// This machine's time in nanoseconds since the Unix epoch.
pub fn now_ns() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the machine's clock is after 1970");
    i128::try_from(since.as_nanos()).expect("128 bits hold it")
}

/// Whether a text has the form of a skew: a sign, seconds without a needless zero, a point, nine digits.
pub fn is_skew(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((whole, fraction)) = text.strip_prefix(['+', '-']).and_then(|number| number.split_once('.'))
    else {
        return false;
    };
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && digits(fraction) && fraction.len() == 9
}

/// Each named node hears one client; every running node comes to hold all of them, each in one and the same form.
pub fn everyone_learns_of_everyone(herd: &Herd, round: &str) {
    let known: Vec<(String, String)> = herd
        .running()
        .map(|node| {
            let id = format!("{round}-{}", node.name);
            let at = node.ask(&format!("IAMAT {id} +34.068930-118.445127 1621464827.959498503"));
            assert!(at.starts_with(&format!("AT {} +", node.name)), "{at}");
            (id, at)
        })
        .collect();
    for (id, at) in &known {
        herd.wait_for_at(id, at);
    }
}

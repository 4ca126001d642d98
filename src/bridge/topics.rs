//! Names of topics: from a client's id to the topic of its position, and from a topic to an id.
//!
//! A client chooses its id: any bytes but white space. A topic is UTF-8 with special signs, and a broker closes the connection
//! at a malformed topic. So the bridge percent-encodes all signs but letters, digits and plain signs. Two ids never share a
//! topic.

use super::limits::TOPIC_BYTES_MAX;
use herd::percent;
use herd::server::iamat::id_of_device;

/// The topics that a bridge publishes under.
#[derive(Clone, Debug)]
pub struct Topics {
    /// The levels before a client's id: [`check_prefix`].
    pub prefix: String,
    /// Whether dots are percent-encoded too: NATS before 2.10 closes the connection at a topic with a dot.
    pub encode_dots: bool,
}

impl Topics {
    /// The topic of a client's position.
    #[must_use]
    pub fn of_client(&self, id: &[u8]) -> String {
        let mut topic = format!("{}/", self.prefix);
        self.put_level(&mut topic, id);
        topic
    }

    /// The topic of the bridge's status. It has one level more than a client's topic, so a subscriber to all clients
    /// (`owntracks/+/+`) does not get it.
    #[must_use]
    pub fn of_bridge(&self, node: &str) -> String {
        let mut topic = format!("{}/$bridge/", self.prefix);
        self.put_level(&mut topic, node.as_bytes());
        topic
    }

    fn put_level(&self, topic: &mut String, id: &[u8]) {
        // A leading `$` marks a topic that is not a client's: see `of_bridge`.
        let (start, rest) = id.strip_prefix(b"$").map_or(("", id), |rest| ("%24", rest));
        let is_plain = |c: char| {
            let is_special = "/+#%".contains(c) || (c == '.' && self.encode_dots);
            (c.is_ascii_graphic() && !is_special) || (!c.is_ascii() && c.is_alphanumeric())
        };
        topic.push_str(start);
        topic.push_str(&percent::encoded(rest, is_plain));
    }
}

/// The client's id of this topic: its last two levels, a user and a device. `None` if they do not make an id.
#[must_use]
pub fn client_of(topic: &str) -> Option<String> {
    let mut levels = topic.rsplit('/');
    let (device, user) = (levels.next()?, levels.next()?);
    if topic.starts_with('$') {
        return None;
    }
    id_of_device(user, device)
}

/// Whether a topic is below this prefix.
#[must_use]
pub fn is_below(topic: &str, prefix: &str) -> bool {
    topic.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether a filter covers a topic (MQTT 3.1.1, 4.7).
#[must_use]
pub fn covers(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && !filter.starts_with('$') {
        return false;
    }
    let (mut filters, mut levels) = (filter.split('/'), topic.split('/'));
    loop {
        match (filters.next(), levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(filter), Some(level)) if filter == level => {}
            _ => return false,
        }
    }
}

/// Whether this is a prefix: levels that are not empty, without wildcards.
///
/// # Errors
/// What is wrong.
pub fn check_prefix(prefix: &str) -> Result<(), String> {
    check(prefix)?;
    match () {
        () if prefix.contains(['+', '#']) => Err("a prefix has no wildcards".to_owned()),
        () if prefix.starts_with('$') => Err("topics that begin with a $ are the broker's".to_owned()),
        () if prefix.split('/').any(str::is_empty) => Err("one of its levels is empty".to_owned()),
        () => Ok(()),
    }
}

/// Whether this is a filter for `--take-in`: it has at least the two levels that make an id.
///
/// # Errors
/// What is wrong.
pub fn check_filter(filter: &str) -> Result<(), String> {
    check(filter)?;
    let levels: Vec<&str> = filter.split('/').collect();
    let is_alone = |level: &&str| level.len() == 1 || !level.contains(['+', '#']);
    match () {
        () if !levels.iter().all(is_alone) => Err("a wildcard is a whole level".to_owned()),
        () if levels[..levels.len() - 1].contains(&"#") => Err("# is the last level".to_owned()),
        () if levels.len() < 2 && filter != "#" => {
            Err("an id is made of the last two levels, a user and a device".to_owned())
        }
        () => Ok(()),
    }
}

fn check(topic: &str) -> Result<(), String> {
    match () {
        () if topic.is_empty() => Err("it is empty".to_owned()),
        () if topic.len() > TOPIC_BYTES_MAX => Err(format!("it is longer than {TOPIC_BYTES_MAX} bytes")),
        () if topic.chars().any(char::is_control) => Err("it holds a control character".to_owned()),
        () => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use herd::proto::fields::ClientId;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_becomes_one_level_of_a_topic() {
        for (id, topic) in [
            (&b"kiwi.cs.ucla.edu"[..], "p/q/kiwi.cs.ucla.edu"),
            (b"a/b+c#d%e\0", "p/q/a%2Fb%2Bc%23d%25e%00"),
            ("zo\u{eb}-\u{3b1}7".as_bytes(), "p/q/zo\u{eb}-\u{3b1}7"),
            (b"\xffx\xc3", "p/q/%FFx%C3"),
            // A control character, a line that is none, a noncharacter, white space of others, a half of a flag.
            ("\u{1}\u{85}\u{ffff}\u{a0}\u{1f1e6}".as_bytes(), "p/q/%01%C2%85%EF%BF%BF%C2%A0%F0%9F%87%A6"),
            (b"$bridge", "p/q/%24bridge"),
            (b"a$", "p/q/a$"),
        ] {
            assert_eq!(Topics { prefix: "p/q".to_owned(), encode_dots: false }.of_client(id), topic);
        }
    }

    proptest! {
        #[test]
        fn no_two_ids_share_a_topic_and_each_can_be_read_back(ids in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 1..64), 1..40), encode_dots in any::<bool>()) {
            let topics = Topics { prefix: "p".to_owned(), encode_dots };
            let mut seen: HashMap<String, Vec<u8>> = HashMap::new();
            for id in ids {
                let topic = topics.of_client(&id);
                let level = topic.strip_prefix("p/").expect("its prefix");
                prop_assert!(!level.is_empty() && !level.contains(['/', '+', '#']) && !level.starts_with('$'));
                prop_assert!(!level.chars().any(|c| c.is_control() || c.is_whitespace()));
                prop_assert!(!encode_dots || !level.contains('.'));
                let mut decoded = Vec::new();
                let mut rest = level.as_bytes();
                while let Some((first, more)) = rest.split_first() {
                    if *first == b'%' {
                        let hex = std::str::from_utf8(&more[..2]).expect("two digits");
                        decoded.push(u8::from_str_radix(hex, 16).expect("two digits"));
                        rest = &more[2..];
                    } else {
                        decoded.push(*first);
                        rest = more;
                    }
                }
                prop_assert_eq!(&decoded, &id);
                if let Some(other) = seen.insert(topic, id.clone()) {
                    prop_assert_eq!(other, id);
                }
            }
        }

        #[test]
        fn any_topic_makes_an_id_or_none(topic in "\\PC{0,80}|[ -~/]{0,80}") {
            let id = client_of(&topic);
            prop_assert!(id.is_none_or(|id| ClientId::parse(id.as_bytes()).is_some()));
            prop_assert!(covers("#", &topic) != topic.starts_with('$'));
        }
    }

    #[test]
    fn a_topic_becomes_an_id() {
        let long = format!("a/{}/b", "x".repeat(63));
        for (topic, id) in [
            ("owntracks/ann/phone", Some("ann.phone")),
            ("ann/phone", Some("ann.phone")),
            ("fleet/north/vans/7", Some("vans.7")),
            ("owntracks/ann.lee/my phone", Some("ann.lee.my%20phone")),
            ("owntracks/ann/lee.phone", Some("ann.lee%2Ephone")),
            ("owntracks/100%/\u{e9}", Some("100%25.\u{e9}")),
            ("phone", None),
            ("", None),
            ("owntracks//phone", None),
            ("owntracks/ann/", None),
            ("$SYS/broker/uptime", None),
            (&long, None),
        ] {
            assert_eq!(client_of(topic).as_deref(), id, "{topic}");
        }
    }

    #[test]
    fn a_filter_covers_what_the_standard_says() {
        for (filter, topic, expected) in [
            ("owntracks/+/+", "owntracks/ann/phone", true),
            ("owntracks/+/+", "owntracks/ann/phone/event", false),
            ("owntracks/+/+", "owntracks/ann", false),
            ("owntracks/#", "owntracks", true),
            ("owntracks/#", "owntracks/a/b/c", true),
            ("#", "a", true),
            ("#", "$SYS/a", false),
            ("+/a", "$SYS/a", false),
            ("\u{e9}/+", "\u{e9}/a", true),
            ("a", "\u{e9}", false),
            ("a/b", "a/b/", false),
        ] {
            assert_eq!(covers(filter, topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn prefixes_and_filters_are_checked() {
        for (prefix, is_right) in
            [("owntracks/herd", true), ("a", true), ("", false), ("a/", false), ("/a", false), ("$a", false)]
        {
            assert_eq!(check_prefix(prefix).is_ok(), is_right, "{prefix}");
        }
        let long = "x".repeat(TOPIC_BYTES_MAX + 1);
        for wrong in ["a/+", "a/#", "a\0", &long] {
            assert!(check_prefix(wrong).is_err(), "{wrong}");
        }
        for (filter, is_right) in
            [("owntracks/+/+", true), ("#", true), ("a/#", true), ("+", false), ("a", false), ("a/b", true)]
        {
            assert_eq!(check_filter(filter).is_ok(), is_right, "{filter}");
        }
        for wrong in ["a/b+", "#/a", "a/b#", "", "a/\n"] {
            assert!(check_filter(wrong).is_err(), "{wrong}");
        }
        assert!(is_below("a/b/c", "a/b") && !is_below("a/bc", "a/b") && !is_below("a/b", "a/b"));
    }
}

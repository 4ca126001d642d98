//! Why a node answered `?`: the client checks the line by the node's own parser and says what is wrong with it.

use crate::config::quoted;

use crate::proto::decimal::decimal;
use crate::proto::fields::{ClientId, ClientTime, ItemLimit, Position, Radius, fields};
use crate::proto::limits::{CLIENT_ID_BYTES_MAX, CLIENT_LINE_BYTES_MAX, ITEMS_MAX, RADIUS_KM_MAX};

/// Milliseconds since 1970 have this many digits since 2001, seconds only from the year 33,658 on.
const MILLISECOND_DIGITS: usize = 13;

/// One phrase that says why the node did not take this line.
pub(super) fn explain(line: &[u8]) -> String {
    if line.len() > CLIENT_LINE_BYTES_MAX {
        return format!("the line is longer than {CLIENT_LINE_BYTES_MAX} bytes");
    }
    let parts: Vec<&[u8]> = fields(line).collect();
    match parts.as_slice() {
        [] => "the line is empty".to_owned(),
        [b"IAMAT", rest @ ..] => iamat(rest),
        [b"WHATSAT", rest @ ..] => whatsat(rest),
        [b"AT", ..] => "AT is an answer of a node; a client sends IAMAT or WHATSAT".to_owned(),
        [word, ..] => unknown(word),
    }
}

/// Whether these operands look like one command whose quotes were forgotten.
pub(super) fn is_unquoted(lines: &[Vec<u8>]) -> bool {
    let joined = lines.join(&b' ');
    let command = matches!(lines.first().map(Vec::as_slice), Some(b"IAMAT" | b"WHATSAT"));
    command
        && lines.len() > 1
        && lines.iter().all(|line| fields(line).count() == 1)
        && fields(&joined).count() <= 5
}

fn unknown(word: &[u8]) -> String {
    let upper = word.to_ascii_uppercase();
    if matches!(upper.as_slice(), b"IAMAT" | b"WHATSAT") {
        return format!("commands are in capitals: {}", text(&upper));
    }
    format!("{} is not a command; the commands are IAMAT and WHATSAT", text_quoted(word))
}

fn iamat(parts: &[&[u8]]) -> String {
    const SHAPE: &str = "IAMAT ID POSITION TIME";
    let &[id, position, time] = parts else {
        return match parts {
            [_, latitude, longitude, ..] if is_split(latitude, longitude) => {
                let (latitude, longitude) = (text(latitude), text(longitude));
                let (latitude, longitude) =
                    (latitude.trim_end_matches(','), longitude.trim_start_matches(','));
                format!("latitude and longitude must be one field: {}{}", signed(latitude), signed(longitude))
            }
            _ => shape(SHAPE),
        };
    };
    if let Some(why) = wrong_id(id) {
        return why;
    }
    if Position::parse(position).is_none() {
        return wrong_position(position);
    }
    if ClientTime::parse(time).is_none() {
        return format!("the time is in seconds since 1970, such as 1621464827.5, not {}", text_quoted(time));
    }
    let whole = time.split(|&byte| byte == b'.').next().unwrap_or_default();
    if whole.len() >= MILLISECOND_DIGITS {
        return "the time is in seconds since 1970; this looks like milliseconds".to_owned();
    }
    "the time is more than a day ahead of the node's clock".to_owned()
}

/// Whether two fields are the halves of a position.
fn is_split(latitude: &[u8], longitude: &[u8]) -> bool {
    let is_number = |field: &[u8]| decimal(text(field).trim_matches(',').as_bytes()).is_some();
    is_number(latitude) && is_number(longitude)
}

/// A number with its sign.
fn signed(number: &str) -> String {
    if number.starts_with(['+', '-']) { number.to_owned() } else { format!("+{number}") }
}

fn wrong_position(field: &[u8]) -> String {
    let given = text(field);
    let wanted = "a position is latitude and longitude with signs, such as +34.07-118.45";
    if let Some((latitude, longitude)) = given.split_once(',')
        && is_split(latitude.as_bytes(), longitude.as_bytes())
    {
        return format!("{wanted}, without a comma: {}{}", signed(latitude), signed(longitude));
    }
    format!("{wanted}, within 90 and 180 degrees and at most 48 bytes, not {}", quoted(&given))
}

fn whatsat(parts: &[&[u8]]) -> String {
    let &[id, radius, items] = parts else { return shape("WHATSAT ID RADIUS ITEMS") };
    if let Some(why) = wrong_id(id) {
        return why;
    }
    if Radius::parse(radius).is_none() {
        return format!(
            "the radius is in kilometres, from 0 to {RADIUS_KM_MAX}, not {}",
            text_quoted(radius)
        );
    }
    if ItemLimit::parse(items).is_none() {
        return format!("ITEMS is a whole number from 0 to {ITEMS_MAX}, not {}", text_quoted(items));
    }
    format!("the herd knows no client {}", text_quoted(id))
}

fn wrong_id(id: &[u8]) -> Option<String> {
    let is_long = ClientId::parse(id).is_none();
    is_long.then(|| format!("the id has {} bytes, and may have {CLIENT_ID_BYTES_MAX}", id.len()))
}

fn shape(wanted: &str) -> String {
    format!("the command has another number of fields: it is {wanted}")
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field).into_owned()
}

fn text_quoted(field: &[u8]) -> String {
    quoted(&text(field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::client::Command;

    #[test]
    fn each_mistake_has_its_own_reason() {
        let cases = [
            ("", "the line is empty"),
            ("iamat a +1+2 3", "commands are in capitals: IAMAT"),
            ("HELLO", "\"HELLO\" is not a command; the commands are IAMAT and WHATSAT"),
            ("AT Hill +1 a +1+2 3", "AT is an answer of a node; a client sends IAMAT or WHATSAT"),
            ("IAMAT", "the command has another number of fields: it is IAMAT ID POSITION TIME"),
            ("IAMAT a +34.07 -118.45 1", "latitude and longitude must be one field: +34.07-118.45"),
            ("IAMAT a 34.07, 118.45 1", "latitude and longitude must be one field: +34.07+118.45"),
            (
                "IAMAT a 34.07,-118.45 1",
                "a position is latitude and longitude with signs, such as +34.07-118.45, without a comma: +34.07-118.45",
            ),
            (
                "IAMAT a +91+0 1",
                "a position is latitude and longitude with signs, such as +34.07-118.45, within 90 and 180 degrees and \
                 at most 48 bytes, not \"+91+0\"",
            ),
            ("IAMAT a +1+2 now", "the time is in seconds since 1970, such as 1621464827.5, not \"now\""),
            ("IAMAT a +1+2 1621464827959", "the time is in seconds since 1970; this looks like milliseconds"),
            ("IAMAT a +1+2 9999999999", "the time is more than a day ahead of the node's clock"),
            ("WHATSAT a 10", "the command has another number of fields: it is WHATSAT ID RADIUS ITEMS"),
            ("WHATSAT a 51 5", "the radius is in kilometres, from 0 to 50, not \"51\""),
            ("WHATSAT a 10000 5", "the radius is in kilometres, from 0 to 50, not \"10000\""),
            ("WHATSAT a 10 21", "ITEMS is a whole number from 0 to 20, not \"21\""),
            ("WHATSAT a 10 5", "the herd knows no client \"a\""),
        ];
        for (line, reason) in cases {
            assert_eq!(explain(line.as_bytes()), reason, "{line:?}");
            let only_the_node_knows =
                reason.starts_with("the herd") || line.contains(" +1+2 9") || line.contains("7959");
            assert_eq!(Command::parse(line.as_bytes()).is_some(), only_the_node_knows, "{line:?}");
        }
        assert_eq!(
            explain(format!("WHATSAT {} 10 5", "x".repeat(65)).as_bytes()),
            "the id has 65 bytes, and may have 64"
        );
        assert_eq!(explain(&[b'x'; 1025]), "the line is longer than 1024 bytes");
    }

    #[test]
    fn forgotten_quotes_are_seen() {
        let is_unquoted = |lines: &[&str]| {
            is_unquoted(&lines.iter().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>())
        };
        assert!(is_unquoted(&["IAMAT", "a", "+1+2", "3"]));
        assert!(is_unquoted(&["WHATSAT", "a", "10", "5"]));
        assert!(!is_unquoted(&["IAMAT a +1+2 3", "WHATSAT a 10 5"]));
        assert!(!is_unquoted(&["x"]));
    }
}

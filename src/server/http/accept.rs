//! Which form of an answer a client prefers: `Accept` and `Accept-Encoding` (RFC 9110, 12.5.1 and 12.5.3).
//!
//! This module must not know the pages. It reads a header as its values in order; one that does not parse counts as absent.

use crate::server::metrics::Format;

/// How the page is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// As gzip.
    Gzip,
    /// Without an encoding, for a client that does not list gzip.
    Identity,
}

/// The values of a header in a request, in order.
type Values<'a> = &'a dyn Fn(&mut dyn FnMut(&str));

/// The encoding for a client that sent these values of `Accept-Encoding`. Without the header every client can read the
/// identity form.
#[cfg(feature = "page")]
pub(super) fn coding(values: Values) -> Coding {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    values(&mut |value| {
        for (coding, quality) in weighted(value) {
            let slot = match coding {
                _ if is(coding, "gzip") || is(coding, "x-gzip") => &mut gzip,
                _ if is(coding, "identity") => &mut identity,
                "*" => &mut any,
                _ => continue,
            };
            *slot = (*slot).max(Some(quality));
        }
    });
    let gzip = gzip.or(any).unwrap_or(0);
    if gzip > 0 && gzip >= identity.unwrap_or(0) { Coding::Gzip } else { Coding::Identity }
}

/// The format of metrics for a client that sent these values of `Accept`: OpenMetrics unless it prefers plain text.
pub(super) fn format(values: Values) -> Format {
    let mut has_header = false;
    let (mut open, mut text) = ((0, 0), (0, 0));
    values(&mut |value| {
        has_header = true;
        for (range, quality) in weighted(value) {
            for (name, best) in [("application/openmetrics-text", &mut open), ("text/plain", &mut text)] {
                let wide = name.split('/').next().unwrap_or_default();
                let specific = match range.split_once('/') {
                    _ if is(range, name) => 3,
                    Some((kind, "*")) if is(kind, wide) => 2,
                    Some(("*", "*")) => 1,
                    _ => continue,
                };
                // The most specific range counts, and the best of equals.
                *best = (*best).max((specific, quality));
            }
        }
    });
    let (open, text) = (open.1, text.1);
    if !has_header || (open > 0 && open >= text) { Format::OpenMetrics } else { Format::Text }
}

fn is(word: &str, name: &str) -> bool {
    word.eq_ignore_ascii_case(name)
}

/// The elements of a list with their weights in thousandths. An element with a malformed weight is left out.
fn weighted(list: &str) -> impl Iterator<Item = (&str, u16)> {
    list.split(',').filter_map(|element| {
        let mut parts = element.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let mut quality = 1000;
        for part in parts {
            if let Some((_, weight)) = part.split_once('=').filter(|(name, _)| is(name.trim_end(), "q")) {
                quality = thousandths(weight.trim_start())?;
            }
        }
        Some((name, quality))
    })
}

/// A weight: 0 to 1 with up to three decimals.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    let is_weight = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    let value = format!("{decimals:0<3}").parse::<u16>().ok().filter(|_| is_weight)?;
    match whole {
        "0" => Some(value),
        "1" if value == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(header: &[&str], read: impl FnOnce(Values) -> T) -> T {
        read(&|take| header.iter().for_each(|value| take(value)))
    }

    #[cfg(feature = "page")]
    #[test]
    fn gzip_is_for_clients_that_list_it() {
        for (header, expected) in [
            (&[][..], Coding::Identity),
            (&[""], Coding::Identity),
            (&["identity"], Coding::Identity),
            (&["br"], Coding::Identity),
            (&["gzip"], Coding::Gzip),
            (&["GZIP"], Coding::Gzip),
            (&["x-gzip"], Coding::Gzip),
            (&["gzip, deflate, br, zstd"], Coding::Gzip),
            (&["deflate", "gzip"], Coding::Gzip),
            (&["gzip;q=0"], Coding::Identity),
            (&["gzip; Q=0.000"], Coding::Identity),
            (&["gzip;q=0, *"], Coding::Identity),
            (&["*"], Coding::Gzip),
            (&["*;q=0"], Coding::Identity),
            (&["*;q=0, gzip"], Coding::Gzip),
            (&["gzip;q=0.5, identity"], Coding::Identity),
            (&["identity;q=0.5, gzip;q=0.5"], Coding::Gzip),
            (&["identity;q=0, gzip;q=0"], Coding::Identity),
            (&["gzip;q=2"], Coding::Identity),
            (&["gzip;q=0.0001"], Coding::Identity),
            (&["gzip;q=+1"], Coding::Identity),
            (&["gzipped"], Coding::Identity),
        ] {
            assert_eq!(with(header, coding), expected, "{header:?}");
        }
    }

    #[test]
    fn metrics_are_plain_text_for_clients_that_prefer_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (header, expected) in [
            (&[][..], Format::OpenMetrics),
            (&["*/*"], Format::OpenMetrics),
            (&[prometheus], Format::OpenMetrics),
            (&["application/openmetrics-text"], Format::OpenMetrics),
            (&["application/OpenMetrics-Text; version=1.0.0, text/plain"], Format::OpenMetrics),
            (&["text/plain", "application/openmetrics-text"], Format::OpenMetrics),
            (&["application/*"], Format::OpenMetrics),
            (&["text/plain"], Format::Text),
            (&["text/plain;version=0.0.4"], Format::Text),
            (&["text/plain;version=0.0.4;q=1,*/*;q=0.1"], Format::Text),
            (&["text/*"], Format::Text),
            (&["application/openmetrics-text;q=0.4, text/plain;q=0.5"], Format::Text),
            (&["application/openmetrics-text;q=0, */*"], Format::Text),
            (&["application/json"], Format::Text),
            (&[""], Format::Text),
        ] {
            assert_eq!(with(header, format), expected, "{header:?}");
        }
    }
}

//! Plain decimal numbers as doubles.
//!
//! The parser of core takes 17 KB of a board's program, for exponents and hundreds of digits.

/// The most digits that count: a whole number of 15 digits is exact in a double. Further digits of a fraction are
/// dropped. In a position they are less than a micrometre.
const DIGITS_MAX: usize = 15;

/// The number of a text: a sign or none, digits, a point or none. Up to 15 digits it is the nearest double. `None` for
/// other texts, and for 16 digits before the point.
#[must_use]
pub fn decimal(text: &[u8]) -> Option<f64> {
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1.0, rest),
        [b'+', rest @ ..] | rest => (1.0, rest),
    };
    let (mut value, mut scale) = (0.0, 1.0);
    let (mut count, mut has_point) = (0, false);
    for &byte in digits {
        match byte {
            b'0'..=b'9' if count < DIGITS_MAX => {
                value = value * 10.0 + f64::from(byte - b'0');
                count += 1;
                if has_point {
                    scale *= 10.0;
                }
            }
            b'0'..=b'9' if has_point => {}
            b'.' if !has_point => has_point = true,
            _ => return None,
        }
    }
    // Both are exact, so the division rounds once.
    (count > 0).then(|| sign * value / scale)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_numbers_alone() {
        for (text, expected) in [
            ("5", 5.0),
            ("-0.1", -0.1),
            ("+34.07", 34.07),
            ("5.", 5.0),
            (".5", 0.5),
            ("-118.4451270", -118.445_127),
        ] {
            assert_eq!(decimal(text.as_bytes()), Some(expected), "{text}");
        }
        let many = decimal(b"118.44512712345678901234567890").expect("a number");
        assert!((many - 118.445_127_123_456_79).abs() < 1e-11, "{many}");
        for text in ["", "-", ".", "1e3", "nan", "inf", "1,5", "1.2.3", " 1", "--1", "1234567890123456"] {
            assert_eq!(decimal(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn up_to_15_digits_it_is_the_nearest(text in "[+-]?[0-9]{1,8}(\\.[0-9]{0,7})?") {
            prop_assert_eq!(decimal(text.as_bytes()), text.parse().ok());
        }
    }
}

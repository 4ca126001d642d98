//! Compresses short texts: unused byte values replace frequent byte pairs.
//!
//! Each text unpacks by itself with a table of 512 bytes, so a name can be read in place. Measured on the 3.0 MB of names
//! in `data/places.dat`: 95 pairs leave 67 % of the bytes. Escapes for rare letters free 62 more pairs and leave 62 %; the
//! 0.15 MB do not justify a second rule. A general compressor cannot unpack one name alone. This module does not know
//! places or files.
//!
//! Invariant: for any bytes and any table, unpacking ends within fixed memory. A table from a hostile file may hold cycles.
//! Every step either writes a byte or deepens the stack, and both are bounded.

/// Longest text in bytes, unpacked and packed. The longest name in the data has 97 bytes, and a length fits in one byte.
pub(crate) const TEXT_BYTES_MAX: usize = 255;

/// Bytes of a pair table in the file.
pub(crate) const PAIRS_BYTES: usize = 512;

/// The meaning of each byte: two bytes (each may stand for two in turn), or `[0, 0]` for the byte itself.
pub(crate) struct Pairs([u8; PAIRS_BYTES]);

impl Pairs {
    /// Takes the table from a file. Any bytes are valid; see the invariant above.
    pub(crate) fn new(bytes: [u8; PAIRS_BYTES]) -> Self {
        Self(bytes)
    }

    /// The table for a file.
    pub(crate) fn bytes(&self) -> &[u8; PAIRS_BYTES] {
        &self.0
    }

    /// Unpacks `packed` into `out`. `None` if the result is too long, not UTF-8, or holds NUL.
    pub(crate) fn unpack<'a>(&self, packed: &[u8], out: &'a mut [u8; TEXT_BYTES_MAX]) -> Option<&'a str> {
        // A table without cycles nests at most 255 deep, and each level leaves one byte on the stack.
        let mut stack = [0_u8; 256];
        let mut written = 0;
        for &byte in packed {
            let mut depth = 1;
            stack[0] = byte;
            while depth > 0 {
                depth -= 1;
                let code = stack[depth];
                let at = usize::from(code) * 2;
                let [first, second] = [self.0[at], self.0[at + 1]];
                if [first, second] == [0, 0] {
                    *out.get_mut(written)? = code;
                    written += 1;
                } else {
                    *stack.get_mut(depth + 1)? = first;
                    stack[depth] = second;
                    depth += 2;
                }
            }
        }
        let text = std::str::from_utf8(&out[..written]).ok()?;
        (!text.contains('\0')).then_some(text)
    }
}

/// Chooses the most frequent pair in `all` for each unused byte. `all` holds texts separated by NUL; the function replaces
/// the pairs in it.
fn choose_pairs(all: &mut Vec<u8>, is_used: &[bool; 256]) -> [u8; PAIRS_BYTES] {
    let mut table = [0; PAIRS_BYTES];
    for code in 1..=u8::MAX {
        if is_used[usize::from(code)] {
            continue;
        }
        let Some([first, second]) = most_frequent_pair(all) else { break };
        table[usize::from(code) * 2] = first;
        table[usize::from(code) * 2 + 1] = second;
        replace(all, [first, second], code);
    }
    table
}

/// Packs one text at a time with pairs from a sample.
pub(crate) struct Packer {
    pairs: Pairs,
    /// The byte for each pair, or 0. Bytes are assigned in rising order, and the bytes of a pair come before the pair's own
    /// byte.
    codes: Vec<u8>,
}

impl Packer {
    /// `sample` holds texts separated by NUL. `is_used` marks the bytes of all texts, in the sample or not.
    pub(crate) fn new(mut sample: Vec<u8>, is_used: &[bool; 256]) -> Self {
        let table = choose_pairs(&mut sample, is_used);
        let mut codes = vec![0; 1 << 16];
        for code in 1..=u8::MAX {
            let at = usize::from(code) * 2;
            if table[at..at + 2] != [0, 0] {
                codes[usize::from(u16::from_be_bytes([table[at], table[at + 1]]))] = code;
            }
        }
        Self { pairs: Pairs(table), codes }
    }

    pub(crate) fn pairs(&self) -> &Pairs {
        &self.pairs
    }

    /// Packs `text` in place. `text` holds no byte that stands for a pair.
    pub(crate) fn pack(&self, text: &mut Vec<u8>) {
        let code_of = |pair: &[u8]| self.codes[usize::from(u16::from_be_bytes([pair[0], pair[1]]))];
        // Apply the pairs in the order of their choice, as when all texts are packed together.
        while let Some(code) = text.windows(2).map(code_of).filter(|code| *code != 0).min() {
            let at = usize::from(code) * 2;
            replace(text, [self.pairs.0[at], self.pairs.0[at + 1]], code);
        }
    }
}

/// The most frequent pair; of equals, the smallest. `None` if no pair occurs four times, the least that saves space.
fn most_frequent_pair(all: &[u8]) -> Option<[u8; 2]> {
    let mut counts = vec![0_u32; 1 << 16];
    for pair in all.windows(2).filter(|pair| pair[0] != 0 && pair[1] != 0) {
        counts[usize::from(u16::from_be_bytes([pair[0], pair[1]]))] += 1;
    }
    let mut best = (3, None);
    for (pair, &count) in (0..=u16::MAX).zip(&counts) {
        if count > best.0 {
            best = (count, Some(pair.to_be_bytes()));
        }
    }
    best.1
}

/// Replaces each occurrence of `pair` by `code`, from the left, in place.
fn replace(all: &mut Vec<u8>, pair: [u8; 2], code: u8) {
    let (mut from, mut to) = (0, 0);
    while from < all.len() {
        let is_pair = all[from] == pair[0] && all.get(from + 1) == Some(&pair[1]);
        all[to] = if is_pair { code } else { all[from] };
        from += if is_pair { 2 } else { 1 };
        to += 1;
    }
    all.truncate(to);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A packer for all of `texts`.
    fn packer_of(texts: &[&str]) -> Packer {
        let mut is_used = [false; 256];
        texts.iter().flat_map(|text| text.bytes()).for_each(|byte| is_used[usize::from(byte)] = true);
        Packer::new(texts.iter().flat_map(|text| text.bytes().chain([0])).collect(), &is_used)
    }

    #[test]
    fn what_is_packed_unpacks() {
        let texts =
            ["Airport", "Airport", "aaaaaaaa", "", "São Paulo Airport", "東京", "Airport Air Airport"];
        let packer = packer_of(&texts);
        let mut out = [0; TEXT_BYTES_MAX];
        for text in texts {
            let mut packed = text.as_bytes().to_vec();
            packer.pack(&mut packed);
            assert_eq!(packer.pairs().unpack(&packed, &mut out), Some(text));
            assert!(text != "Airport" || packed.len() < 4, "{packed:?}");
        }
    }

    #[test]
    fn cycles_and_overlong_texts_are_refused() {
        let mut out = [0; TEXT_BYTES_MAX];
        for cycle in [[1, 1], [b'a', 1], [1, b'a']] {
            let mut table = [0; PAIRS_BYTES];
            table[2..4].copy_from_slice(&cycle);
            assert_eq!(Pairs::new(table).unpack(&[1], &mut out), None);
        }
        assert_eq!(Pairs::new([0; PAIRS_BYTES]).unpack(&[b'a'; 256], &mut out), None);
        assert_eq!(Pairs::new([0; PAIRS_BYTES]).unpack(&[0], &mut out), None);
        assert_eq!(Pairs::new([0; PAIRS_BYTES]).unpack(&[0xC3], &mut out), None);
    }

    proptest! {
        #[test]
        fn any_texts_come_back(texts in prop::collection::vec("[ -~à-ü]{0,40}", 0..40), other in "[ -~à-ü]{0,40}") {
            let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            texts.push(&other);
            let packer = packer_of(&texts);
            let mut out = [0; TEXT_BYTES_MAX];
            for text in texts {
                let mut packed = text.as_bytes().to_vec();
                packer.pack(&mut packed);
                prop_assert_eq!(packer.pairs().unpack(&packed, &mut out), Some(text));
            }
        }

        #[test]
        fn any_bytes_end(table in prop::collection::vec(any::<u8>(), PAIRS_BYTES), packed in prop::collection::vec(any::<u8>(), 0..256)) {
            let table: [u8; PAIRS_BYTES] = table.try_into().expect("512 bytes");
            let _ = Pairs::new(table).unpack(&packed, &mut [0; TEXT_BYTES_MAX]);
        }
    }
}

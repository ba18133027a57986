//! gzip (RFC 1951, 1952) for metric text, which repeats itself line after line: every match is looked for in one place, and
//! all codes are the fixed ones. Half the time of a general compressor at its fastest, for the same size.

#![expect(
    clippy::cast_possible_truncation,
    reason = "bits are cut to size all over"
)]

use crc32fast::Hasher;

/// How far back a match may lie.
const WINDOW: usize = 32 << 10;
/// The longest match.
const LONGEST: usize = 258;
/// Bytes that must be the same for a match: what is shorter is hardly smaller than its bytes as they are.
const WORD: usize = 8;
const SLOTS: usize = 1 << 13;

/// A gzip stream under way.
pub(crate) struct Gzip {
    begun: bool,
    checksum: Hasher,
    /// Bytes taken so far; modulo 2³², as the format has it.
    taken: u32,
    /// The window, and behind it what is being compressed.
    text: Vec<u8>,
    /// Where each word was seen last, as [`Self::taken`] counts.
    seen: Box<[u32]>,
    bits: Bits,
}

impl Gzip {
    pub(crate) fn new() -> Self {
        Self {
            begun: false,
            checksum: Hasher::new(),
            taken: 0,
            text: Vec::new(),
            seen: vec![0; SLOTS].into(),
            bits: Bits::default(),
        }
    }

    /// Appends `text` to `out`, compressed; up to seven bits of it wait for what comes next.
    pub(crate) fn write(&mut self, text: &[u8], out: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            // No name, no time, "fastest", unknown system; then the one block's head: the last, with fixed codes.
            out.extend([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255]);
            self.bits.put(0b011, 3, out);
        }
        self.checksum.update(text);
        let old = self.text.len().saturating_sub(WINDOW);
        self.text.drain(..old);
        let mut at = self.text.len();
        self.text.extend_from_slice(text);
        while let Some(&byte) = self.text.get(at) {
            let step = match self.find(at) {
                Some((length, distance)) => {
                    self.bits.pair(length, distance, out);
                    length
                }
                None => {
                    let (code, width) = LITERALS[usize::from(byte)];
                    self.bits.put(code, width, out);
                    1
                }
            };
            at += step;
            self.taken = self.taken.wrapping_add(step as u32);
        }
    }

    /// Appends the end of the stream; nothing may be written after it.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.write(&[], out);
        let (code, width) = symbol(256);
        self.bits.put(code, width, out);
        self.bits.fill(out);
        out.extend(self.checksum.clone().finalize().to_le_bytes());
        out.extend(self.taken.to_le_bytes());
    }

    /// Length and distance of what stands at `at` and stood where its first word was seen last.
    fn find(&mut self, at: usize) -> Option<(usize, usize)> {
        let word = u64::from_le_bytes(*self.text[at..].first_chunk::<WORD>()?);
        let slot = word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOTS.ilog2());
        let then = std::mem::replace(&mut self.seen[slot as usize], self.taken);
        let distance = self.taken.wrapping_sub(then) as usize;
        if distance == 0 || distance > WINDOW.min(at) {
            return None;
        }
        let limit = (self.text.len() - at).min(LONGEST);
        let here = &self.text[at..at + limit];
        let there = &self.text[at - distance..at - distance + limit];
        let length = same(here, there);
        (length >= WORD).then_some((length, distance))
    }
}

/// How many bytes two texts of one length begin with alike.
fn same(a: &[u8], b: &[u8]) -> usize {
    let (words, others) = (a.as_chunks::<WORD>().0, b.as_chunks::<WORD>().0);
    for (at, (word, other)) in words.iter().zip(others).enumerate() {
        let differs = u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other);
        if differs != 0 {
            return at * WORD + differs.trailing_zeros() as usize / 8;
        }
    }
    let whole = words.len() * WORD;
    let rest = a[whole..].iter().zip(&b[whole..]);
    whole + rest.take_while(|(a, b)| a == b).count()
}

/// Bits on their way into bytes, the lowest first.
#[derive(Default)]
struct Bits {
    held: u64,
    count: u32,
}

impl Bits {
    #[inline]
    fn put(&mut self, bits: u32, width: u32, out: &mut Vec<u8>) {
        self.held |= u64::from(bits) << self.count;
        self.count += width;
        if self.count >= 32 {
            out.extend_from_slice(&(self.held as u32).to_le_bytes());
            self.held >>= 32;
            self.count -= 32;
        }
    }

    fn pair(&mut self, length: usize, distance: usize, out: &mut Vec<u8>) {
        let (code, width) = LENGTHS[length - SHORTEST];
        self.put(code, width, out);
        // The first four distances are codes of their own; from there on two codes share each power of two.
        let from = (distance - 1) as u32;
        let (code, extra) = match from {
            0..4 => (from, 0),
            _ => {
                let extra = from.ilog2() - 1;
                (2 * extra + (from >> extra), extra)
            }
        };
        self.put(reversed(code, 5), 5, out);
        self.put(from & ((1 << extra) - 1), extra, out);
    }

    /// Writes what is held, filled up to whole bytes.
    fn fill(&mut self, out: &mut Vec<u8>) {
        let bytes = self.count.div_ceil(8) as usize;
        out.extend_from_slice(&self.held.to_le_bytes()[..bytes]);
        *self = Self::default();
    }
}

/// The shortest length that has a code.
const SHORTEST: usize = 3;

/// Code and width of every byte.
const LITERALS: [(u32, u32); 256] = {
    let mut table = [(0, 0); 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = symbol(byte as u32);
        byte += 1;
    }
    table
};

/// Code and width of every length, its extra bits included. The first eight are codes of their own; from there on four codes
/// share each power of two, and the longest has its own again.
const LENGTHS: [(u32, u32); LONGEST - SHORTEST + 1] = {
    let mut table = [(0, 0); LONGEST - SHORTEST + 1];
    let mut at = 0;
    while at < table.len() {
        let from = at as u32;
        let (code, extra) = match from {
            255 => (285, 0),
            0..8 => (257 + from, 0),
            _ => {
                let extra = from.ilog2() - 2;
                (257 + 4 * extra + (from >> extra), extra)
            }
        };
        let (bits, width) = symbol(code);
        table[at] = (bits | (from & ((1 << extra) - 1)) << width, width + extra);
        at += 1;
    }
    table
};

/// The fixed code of a literal or a length, ready to be written, and its width.
const fn symbol(symbol: u32) -> (u32, u32) {
    match symbol {
        0..144 => (reversed(0x30 + symbol, 8), 8),
        144..256 => (reversed(0x190 + symbol - 144, 9), 9),
        256..280 => (reversed(symbol - 256, 7), 7),
        _ => (reversed(0xc0 + symbol - 280, 8), 8),
    }
}

/// Codes are written from their highest bit on, everything else from its lowest.
const fn reversed(code: u32, width: u32) -> u32 {
    code.reverse_bits() >> (32 - width)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// What another's reader makes of `text`, compressed in pieces of `size` bytes.
    fn unpacked(text: &[u8], size: usize) -> Vec<u8> {
        let (mut gzip, mut packed) = (Gzip::new(), Vec::new());
        for piece in text.chunks(size) {
            gzip.write(piece, &mut packed);
        }
        gzip.finish(&mut packed);
        let mut back = Vec::new();
        let read = flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut back);
        read.unwrap();
        back
    }

    /// Bytes that look like chance and are the same each time.
    fn noise(mut seed: u32) -> impl Iterator<Item = u8> {
        std::iter::from_fn(move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some((seed >> 24) as u8)
        })
    }

    #[test]
    fn every_text_comes_back() {
        let lines: String = (0..4000)
            .map(|i| {
                format!(
                    "kepler_x{{pid=\"{i}\",zone=\"core\"}} {}\n",
                    i * 7919 % 10_007
                )
            })
            .collect();
        let noise: Vec<u8> = noise(1).take(100_000).collect();
        let zeros = vec![0; 200_000];
        for text in [lines.as_bytes(), &noise, &zeros, b"", b"a", &[255; 9]] {
            for size in [1, 7, 4096, 1 << 20] {
                assert!(unpacked(text, size) == text, "{} by {size}", text.len());
            }
        }
    }

    #[test]
    fn every_length_and_distance_comes_back() {
        // A word, so far of it, and the word again, so long: the noise between holds no match.
        // Every distance with one length, every length with one distance; at 32,769 the window ends.
        let distances = (1..80)
            .chain((80..32_800).step_by(1009))
            .chain([32_767, 32_768, 32_769]);
        let lengths = (8..=300).map(|length| (length, 500));
        for (length, distance) in distances.map(|d| (40, d)).chain(lengths) {
            let period: Vec<u8> = noise(distance as u32).take(distance).collect();
            let text: Vec<u8> = period
                .iter()
                .cycle()
                .take(distance + length)
                .copied()
                .collect();
            assert!(unpacked(&text, 1 << 20) == text, "{length} at {distance}");
        }
    }

    #[test]
    fn metric_text_becomes_small() {
        let lines: String = (0..4000)
            .map(|i| format!("kepler_process_cpu_joules_total{{pid=\"{i}\",comm=\"worker\",exe=\"/usr/bin/worker\",zone=\"core\"}} {i}\n"))
            .collect();
        let (mut gzip, mut packed) = (Gzip::new(), Vec::new());
        gzip.write(lines.as_bytes(), &mut packed);
        gzip.finish(&mut packed);
        assert!(
            packed.len() * 8 < lines.len(),
            "{} of {}",
            packed.len(),
            lines.len()
        );
    }
}

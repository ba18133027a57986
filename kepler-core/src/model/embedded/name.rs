//! A processor's name, cut into its model number and what stands around that.

/// A name in its parts: what comes before the model number, the number, and what follows.
pub(super) struct Name<'a> {
    words: Vec<&'a str>,
    pub(super) digits: &'a str,
    pub(super) prefix: &'a str,
    pub(super) suffix: &'a str,
}

impl<'a> Name<'a> {
    /// Splits at underscores; the model number is the last word with three digits in a row.
    pub(super) fn split(processor: &'a str) -> Option<Self> {
        let words: Vec<&str> = processor.split('_').collect();
        let (number, digits) = words
            .iter()
            .rev()
            .find_map(|word| Some((*word, digits(word)?)))?;
        let (prefix, rest) = number.split_at(number.find(digits)?);
        Some(Self {
            words,
            digits,
            prefix,
            suffix: &rest[digits.len()..],
        })
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    pub(super) fn digit(&self, at: usize) -> u8 {
        self.digits.as_bytes().get(at).copied().unwrap_or_default()
    }

    pub(super) fn series(&self) -> &str {
        &self.digits[..2]
    }

    pub(super) fn rank(&self) -> f64 {
        match self.digits.len() {
            4 | 5 => rank(&self.digits[self.digits.len() - 2..]),
            _ => 0.0,
        }
    }

    /// The `2` of `1265lv2`.
    pub(super) fn version(&self) -> Option<u8> {
        let (_, version) = self.suffix.rsplit_once('v')?;
        version.bytes().next()
    }
}

/// Two digits as a place from -0.5 to 0.5.
pub(super) fn rank(two: &str) -> f64 {
    two.parse::<u8>()
        .map_or(0.0, |rank| f64::from(rank) / 100.0 - 0.5)
}

fn digits(word: &str) -> Option<&str> {
    word.split(|c: char| !c.is_ascii_digit())
        .find(|run| run.len() >= 3)
}

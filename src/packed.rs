//! Many texts in one piece of memory.

/// A list of texts that only grows: eight bytes each, and their own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Packed {
    text: String,
    /// Where each text ends.
    ends: Vec<usize>,
}

impl Packed {
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The text with this number.
    pub(crate) fn get(&self, number: usize) -> Option<&str> {
        let end = *self.ends.get(number)?;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.text[start..end])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|number| self.get(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_as_they_were() {
        let mut packed = Packed::default();
        let texts = ["a", "", "ü/b", ""];
        texts.iter().for_each(|text| packed.push(text));
        assert!(packed.iter().eq(texts));
        assert_eq!((packed.len(), packed.get(2), packed.get(4)), (4, Some("ü/b"), None));
    }
}

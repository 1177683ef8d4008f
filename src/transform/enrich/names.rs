//! Texts by the million: each is kept once, in one long text, and known by its number.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// A set of texts, numbered in the order they came. Takes nine bytes or so for each beside the text itself.
#[derive(Debug, Default)]
pub struct Names {
    all: String,
    /// Where each ends in `all`.
    ends: Vec<u32>,
    numbers: HashTable<u32>,
    hasher: RandomState,
}

impl Names {
    /// The number of a text, which is added if it is new; and whether it was. `None` when there is no room for it.
    pub fn add(&mut self, text: &str) -> Option<(u32, bool)> {
        let Self { all, ends, numbers, hasher } = self;
        let known = |number: &u32| name(all, ends, *number);
        let hash = hasher.hash_one(text);
        match numbers.entry(hash, |number| known(number) == text, |number| hasher.hash_one(known(number))) {
            Entry::Occupied(entry) => Some((*entry.get(), false)),
            Entry::Vacant(entry) => {
                let end = u32::try_from(all.len() + text.len()).ok()?;
                let number = u32::try_from(ends.len()).ok()?;
                entry.insert(number);
                all.push_str(text);
                ends.push(end);
                Some((number, true))
            }
        }
    }

    /// The number of a text.
    pub fn find(&self, text: &str) -> Option<u32> {
        self.numbers.find(self.hasher.hash_one(text), |number| self.get(*number) == text).copied()
    }

    /// The text of a number.
    pub fn get(&self, number: u32) -> &str {
        name(&self.all, &self.ends, number)
    }

    /// Gives back what is only needed while texts are added.
    pub fn shrink(&mut self) {
        self.all.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// Gives back what finding needs, too: texts are known by their numbers from here on.
    pub fn shrink_to_texts(&mut self) {
        self.numbers = HashTable::new();
        self.shrink();
    }
}

fn name<'n>(all: &'n str, ends: &[u32], number: u32) -> &'n str {
    let at = number as usize;
    let start = at.checked_sub(1).map_or(0, |before| ends[before]);
    &all[start as usize..ends[at] as usize]
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map_from_texts_to_numbers(texts in prop::collection::vec("[a-cé]{0,3}", 0..60)) {
            let mut names = Names::default();
            let mut known: HashMap<String, u32> = HashMap::new();
            for text in &texts {
                let number = known.len() as u32;
                let is_new = !known.contains_key(text);
                let number = *known.entry(text.clone()).or_insert(number);
                prop_assert_eq!(names.add(text), Some((number, is_new)));
            }
            names.shrink();
            for (text, number) in &known {
                prop_assert_eq!(names.find(text), Some(*number));
                prop_assert_eq!(names.get(*number), text);
            }
            prop_assert_eq!(names.find("another"), None);
            names.shrink_to_texts();
            prop_assert_eq!(names.find("a"), None);
            prop_assert!(known.iter().all(|(text, number)| names.get(*number) == text));
        }
    }
}

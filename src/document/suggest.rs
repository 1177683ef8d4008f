//! What somebody may have meant.

/// The one of `known` that `word` is most likely a misspelling of.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    let distances = known.into_iter().map(|candidate| {
        let distance = strsim::damerau_levenshtein(&word, &plain(candidate));
        (distance, candidate)
    });
    // A third of the letters may be wrong: `topc` is `topic`, `port` is not `topic`.
    let near = distances.filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3);
    near.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// A hint that names what would have been right: `did you mean …? known keys: …`.
pub(super) fn known(word: &str, noun: &str, known: &[&'static str]) -> String {
    if known.is_empty() {
        return format!("there are no {noun}s here");
    }
    let list = format!("known {noun}s: {}", quoted(known));
    match did_you_mean(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? {list}"),
        None => list,
    }
}

pub(super) fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["brokers", "topic", "max_bytes", "tls"];
        assert_eq!(did_you_mean("topc", known), Some("topic"));
        assert_eq!(did_you_mean("Max-Bytes", known), Some("max_bytes"));
        assert_eq!(did_you_mean("tsl", known), Some("tls"));
        assert_eq!(did_you_mean("broker", known), Some("brokers"));
        assert_eq!(did_you_mean("port", known), None);
        assert_eq!(did_you_mean("", known), None);
    }
}

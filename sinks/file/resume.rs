//! Where a batch goes on in a file that may hold a part of it already: the pure half of exactly-once.
//!
//! No side file says how far a batch got, because a side file and the data cannot be written in one step. The data
//! says it: a batch comes again with the same lines, so its own beginning is looked for at the end of the file.

use bytes::Bytes;

/// How to go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Resume {
    /// Lines of the batch that are there, whole.
    pub lines: usize,
    /// Bytes of the next line that are there, with no line end: the line is to be completed.
    pub bytes: usize,
    /// The text ends in a part of a line that is not ours: it gets a line end first.
    pub newline: bool,
    /// How much of the text is to be kept. What lies behind was allocated before a power cut and never written.
    pub keep: usize,
}

/// Finds the largest part of `lines`, from the first on, that `text` ends with.
///
/// `text` is the end of the file, beginning at a line start, as long as the lines with their ends (or the whole file).
/// With `anywhere` all the lines also count where other writers' lines follow them. Without any lines it only says how the
/// text ends.
///
/// Linear in `text`: lines are compared as wholes and never again from their start (Knuth, Morris and Pratt).
pub(super) fn resume(text: &[u8], lines: &[Bytes], anywhere: bool) -> Resume {
    let solid = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    // JSON has no NUL, so one in the middle is a page that did not reach the disk while a later one did. It is cut
    // only where our own lines lead up to it: then nothing behind it was ever acknowledged.
    if let Some(hole) = text[..solid].iter().position(|byte| *byte == 0) {
        let before = matched(&text[..hole], lines, anywhere);
        let missing: usize = lines[before.lines..].iter().map(|line| line.len() + 1).sum();
        if (before.lines, before.bytes) != (0, 0) && solid - hole <= missing - before.bytes {
            return before;
        }
    }
    matched(&text[..solid], lines, anywhere)
}

fn matched(text: &[u8], lines: &[Bytes], anywhere: bool) -> Resume {
    let fallback = fallback(lines);
    let mut held = 0;
    let mut rest = text;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..end];
        if lines.is_empty() {
            rest = &rest[end + 1..];
            continue;
        }
        while held > 0 && (held == lines.len() || lines[held] != line) {
            held = fallback[held - 1];
        }
        if lines[held] == line {
            held += 1;
        }
        if anywhere && held == lines.len() {
            // Where the text ends is the next writer's concern; there is nothing of ours to write.
            return Resume { lines: held, keep: text.len(), ..Resume::default() };
        }
        rest = &rest[end + 1..];
    }
    let whole = Resume { lines: held, keep: text.len(), ..Resume::default() };
    if rest.is_empty() {
        return whole;
    }
    loop {
        if lines.get(held).is_some_and(|line| line.starts_with(rest)) {
            return Resume { lines: held, bytes: rest.len(), ..whole };
        }
        if held == 0 {
            return Resume { lines: 0, newline: true, ..whole };
        }
        held = fallback[held - 1];
    }
}

/// For every count of lines that fit, how many still fit if the next one does not.
fn fallback(lines: &[Bytes]) -> Vec<usize> {
    let mut fallback = vec![0; lines.len()];
    let mut held = 0;
    for at in 1..lines.len() {
        while held > 0 && lines[held] != lines[at] {
            held = fallback[held - 1];
        }
        if lines[held] == lines[at] {
            held += 1;
        }
        fallback[at] = held;
    }
    fallback
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<Bytes> {
        texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect()
    }

    fn joined(lines: &[Bytes]) -> Vec<u8> {
        lines.iter().flat_map(|line| line.iter().copied().chain([b'\n'])).collect()
    }

    /// What the file holds once the batch was written after `text` as `resume` says.
    fn completed(text: &[u8], lines: &[Bytes]) -> Vec<u8> {
        let found = resume(text, lines, false);
        let mut file = text[..found.keep].to_vec();
        if found.newline {
            file.push(b'\n');
        }
        file.extend_from_slice(&joined(&lines[found.lines..])[found.bytes..]);
        file
    }

    #[test]
    fn goes_on_from_every_byte() {
        let batches = [
            lines(&[r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]),
            lines(&["{}", "{}", "{}"]),
            lines(&["{}", "{}", r#"{"a":1}"#, "{}", "{}", r#"{"a":2}"#]),
            lines(&[r#"{"n":1}"#]),
            lines(&[r#"{"n":1}"#, r#"{"n":12}"#, r#"{"n":1}"#, r#"{"n":12}"#, r#"{"n":123}"#]),
        ];
        for batch in batches {
            let whole = joined(&batch);
            for cut in 0..=whole.len() {
                assert_eq!(completed(&whole[..cut], &batch), whole, "cut at {cut} of {batch:?}");
                let mut torn = whole[..cut].to_vec();
                torn.extend([0; 5]);
                assert_eq!(completed(&torn, &batch), whole, "cut at {cut} with NULs");
                let before = [b"{\"other\":true}\n".as_slice(), &whole[..cut]].concat();
                let after = [b"{\"other\":true}\n".as_slice(), &whole].concat();
                assert_eq!(completed(&before, &batch), after, "cut at {cut} after others");
            }
        }
    }

    #[test]
    fn a_torn_line_of_others_gets_its_end() {
        let batch = lines(&[r#"{"n":1}"#, r#"{"n":2}"#]);
        assert_eq!(completed(b"{\"x", &batch), b"{\"x\n{\"n\":1}\n{\"n\":2}\n");
        // The longest beginning that fits the lines before it wins over a shorter one.
        let batch = lines(&["ab", "ab", "abc"]);
        assert_eq!(completed(b"ab\nab\nab\nabc", &batch), b"ab\nab\nab\nabc\n");
    }

    #[test]
    fn a_hole_is_cut_only_behind_our_own_lines() {
        let batch = lines(&[r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]);
        let hole = b"{\"old\":0}\n{\"n\":1}\n{\"n\0\0\0\0\0{\"n\":3}\n";
        assert_eq!(completed(hole, &batch), b"{\"old\":0}\n{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
        let foreign = b"bin\0ary\n";
        assert_eq!(resume(foreign, &batch, false).keep, foreign.len());
    }

    #[test]
    fn with_other_writers_the_whole_batch_counts_anywhere() {
        let batch = lines(&[r#"{"n":1}"#, r#"{"n":2}"#]);
        let text = b"{\"n\":1}\n{\"n\":2}\n{\"else\":1}\n";
        assert_eq!(resume(text, &batch, true).lines, 2);
        assert_eq!(resume(text, &batch, false).lines, 0);
    }

    #[test]
    fn long_repetitions_take_linear_time() {
        // A quadratic search would compare 5e9 lines here and not return while anyone waits.
        let batch: Vec<Bytes> =
            (0..100_000).map(|_| Bytes::from_static(b"{}")).chain([Bytes::from_static(b"{1}")]).collect();
        let text = b"{}\n".repeat(100_000);
        let found = resume(&text, &batch, false);
        assert_eq!((found.lines, found.bytes), (100_000, 0));
    }
}

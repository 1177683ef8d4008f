//! The alphabet of RFC 4648 section 6, in lower case and without padding: nothing in it has to be encoded in a URL, in
//! JSON or in the local part of an e-mail address.

const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// How many letters so many bytes become.
pub(super) const fn length(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

pub(super) fn is_letter(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'2'..=b'7')
}

pub(super) fn encode(bytes: &[u8], out: &mut String) {
    for chunk in bytes.chunks(5) {
        let mut bits = [0; 8];
        bits[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(bits);
        let letters: [u8; 8] = std::array::from_fn(|n| LETTERS[(bits >> (35 - 5 * n) & 31) as usize]);
        let letters = &letters[..length(chunk.len())];
        out.push_str(std::str::from_utf8(letters).expect("they are ASCII"));
    }
}

/// The whole bytes in these letters; `None` when one of them is none.
pub(super) fn decode(letters: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(letters.len() * 5 / 8);
    let (mut bits, mut count) = (0u32, 0);
    for letter in letters {
        let value = match letter {
            b'a'..=b'z' => letter - b'a',
            b'2'..=b'7' => letter - b'2' + 26,
            _ => return None,
        };
        bits = (bits << 5 | u32::from(value)) & 0xFFFF;
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(bytes: &[u8]) -> String {
        let mut out = String::new();
        encode(bytes, &mut out);
        out
    }

    #[test]
    fn is_that_of_the_rfc() {
        // RFC 4648 section 10.
        for (bytes, letters) in
            [("", ""), ("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foob", "mzxw6yq"), ("foobar", "mzxw6ytboi")]
        {
            assert_eq!(encoded(bytes.as_bytes()), letters);
            assert_eq!(decode(letters.as_bytes()).as_deref(), Some(bytes.as_bytes()));
            assert_eq!(length(bytes.len()), letters.len());
        }
        assert_eq!(encoded(&[0xFF; 16]), format!("{}4", "7".repeat(25)));
        assert_eq!(decode(b"mzxw1"), None);
    }
}

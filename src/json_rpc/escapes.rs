//! Repairs the escapes of a JSON text that stand for half a character.
//!
//! JavaScript and Python write a string that was cut inside an emoji with half a surrogate pair, such as `"\ud83d"`. RFC 8259,
//! section 8.2, allows it, but no UTF-8 text can hold it, so JSON parsers in Rust refuse the whole message.

/// The escape of U+FFFD, as long as the escape that it replaces.
const REPLACEMENT: &[u8; 6] = b"\\ufffd";
const ESCAPE_LEN: usize = REPLACEMENT.len();

/// Replaces each escape of an unpaired surrogate by that of U+FFFD. Returns whether there was one.
pub fn repair_surrogates(text: &mut [u8]) -> bool {
    let (mut position, mut in_string, mut repaired) = (0, false, false);
    while let Some(byte) = text.get(position) {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                position += escape(text, position, &mut repaired);
                continue;
            }
            _ => {}
        }
        position += 1;
    }
    repaired
}

/// Repairs the escape at this position, and returns its length, for a pair that of both.
fn escape(text: &mut [u8], position: usize, repaired: &mut bool) -> usize {
    let Some(unit) = code_unit(text, position) else {
        // The backslash and the character after it, which may be a quotation mark.
        return 2;
    };
    let is_low = |unit: u16| (0xDC00..=0xDFFF).contains(&unit);
    if (0xD800..=0xDBFF).contains(&unit) && code_unit(text, position + ESCAPE_LEN).is_some_and(is_low) {
        return 2 * ESCAPE_LEN;
    }
    if (0xD800..=0xDFFF).contains(&unit)
        && let Some(escape) = text.get_mut(position..position + ESCAPE_LEN)
    {
        escape.copy_from_slice(REPLACEMENT);
        *repaired = true;
    }
    ESCAPE_LEN
}

/// The UTF-16 code unit of the escape `\uXXXX` at this position.
fn code_unit(text: &[u8], position: usize) -> Option<u16> {
    let escape = text.get(position..position.checked_add(ESCAPE_LEN)?)?;
    let digits = escape.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0_u16, |unit, digit| {
        let value = char::from(*digit).to_digit(16)?;
        Some((unit << 4) | u16::try_from(value).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn repaired(text: &str) -> (bool, String) {
        let mut bytes = text.as_bytes().to_vec();
        let changed = repair_surrogates(&mut bytes);
        (changed, String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn unpaired_surrogates_become_the_replacement_character() {
        for (text, expected) in [
            (r#"["\ud83d"]"#, r#"["\ufffd"]"#),
            (r#"["\uDE00 x"]"#, r#"["\ufffd x"]"#),
            (r#"["\ud83d\ud83d\ude00"]"#, r#"["\ufffd\ud83d\ude00"]"#),
            (r#"["\ud83dx\ude00"]"#, r#"["\ufffdx\ufffd"]"#),
            (r#"["\ud83d\n"]"#, r#"["\ufffd\n"]"#),
            (r#"{"\ud83d": "\\\ud83d"}"#, r#"{"\ufffd": "\\\ufffd"}"#),
        ] {
            assert_eq!(repaired(text), (true, expected.to_owned()), "{text}");
            assert!(serde_json::from_str::<Value>(expected).is_ok(), "{expected}");
        }
    }

    #[test]
    fn other_text_is_unchanged() {
        for text in [
            r#"["\ud83d\ude00"]"#,
            r#"["\\ud83d"]"#,
            r#"["\"\\\\ud83d"]"#,
            r#"["\u00e9", "\ufffd", "\ud83"]"#,
            r"\ud83d",
            "\"\\",
            "",
        ] {
            assert_eq!(repaired(text), (false, text.to_owned()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn json_without_surrogates_is_unchanged(text: String) {
            let json = Value::from(text).to_string();
            prop_assert_eq!(repaired(&json), (false, json.clone()));
        }

        #[test]
        fn escaped_code_units_are_readable_after_repair(units in proptest::collection::vec(any::<u16>(), 0..20)) {
            let escapes: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let (_, json) = repaired(&format!("\"{escapes}\""));
            let read: String = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(read, String::from_utf16_lossy(&units));
        }

        #[test]
        fn any_bytes_are_repaired_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut repaired = bytes.clone();
            let changed = repair_surrogates(&mut repaired);
            prop_assert_eq!(changed, repaired != bytes);
        }
    }
}

//! Changes the name in a `SKILL.md`, for copies of a skill.

use crate::slug::Slug;

/// Returns the `SKILL.md` with another name in its front matter. Every other byte stays as it is.
///
/// A file without a front matter gets one. A file that is not UTF-8 is returned unchanged.
#[must_use]
pub fn with_name(skill_md: &[u8], name: &Slug) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(skill_md) else {
        return skill_md.to_vec();
    };
    let (bom, content) = match text.strip_prefix('\u{FEFF}') {
        Some(content) => ("\u{FEFF}", content),
        None => ("", text),
    };
    let line_end = if content.contains("\r\n") { "\r\n" } else { "\n" };
    let mut lines = content.split_inclusive('\n').peekable();
    let is_opened = lines.peek().is_some_and(|line| line.trim_end() == "---");
    if !is_opened {
        return format!("{bom}---{line_end}name: {name}{line_end}---{line_end}{content}").into_bytes();
    }
    let mut renamed = String::with_capacity(text.len() + Slug::MAX_LEN);
    renamed.push_str(bom);
    renamed.extend(lines.next());
    let rest: Vec<&str> = lines.collect();
    let closing = rest
        .iter()
        .position(|line| line.trim_end() == "---")
        .unwrap_or(rest.len());
    let old = rest.iter().take(closing).position(|line| is_name(line));
    if old.is_none() {
        renamed.push_str(&format!("name: {name}{line_end}"));
    }
    let mut inside_old = false;
    for (index, line) in rest.iter().enumerate() {
        // A value over several lines continues on indented lines.
        inside_old =
            inside_old && index < closing && (line.starts_with([' ', '\t']) || line.trim().is_empty());
        if Some(index) == old {
            renamed.push_str(&format!("name: {name}{line_end}"));
            inside_old = true;
        } else if !inside_old {
            renamed.push_str(line);
        }
    }
    renamed.into_bytes()
}

/// A key at the top level; `metadata.name` is indented.
fn is_name(line: &str) -> bool {
    let key = line.trim_start_matches(['"', '\'']);
    key.strip_prefix("name")
        .map(|rest| rest.trim_start_matches(['"', '\'', ' ', '\t']))
        .is_some_and(|rest| rest.starts_with(':'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::read_document;

    fn renamed(text: &str) -> String {
        String::from_utf8(with_name(text.as_bytes(), &"new-name".parse().unwrap())).unwrap()
    }

    #[test]
    fn only_the_name_changes() {
        let text =
            "---\nmetadata:\n  name: inner\nname: old # why\ndescription: D. name: x\n---\n\nname: body\n";
        assert_eq!(
            renamed(text),
            "---\nmetadata:\n  name: inner\nname: new-name\ndescription: D. name: x\n---\n\nname: body\n"
        );
        assert_eq!(
            renamed("\u{FEFF}---\r\n\"name\": a\r\n---\r\nb"),
            "\u{FEFF}---\r\nname: new-name\r\n---\r\nb"
        );
        assert_eq!(
            renamed("---\nname: >\n  folded\n  name\ndescription: d\n---\n"),
            "---\nname: new-name\ndescription: d\n---\n"
        );
    }

    #[test]
    fn missing_name_or_front_matter_is_added() {
        assert_eq!(
            renamed("---\ndescription: d\n---\n"),
            "---\nname: new-name\ndescription: d\n---\n"
        );
        assert_eq!(renamed("# Body\n"), "---\nname: new-name\n---\n# Body\n");
    }

    proptest! {
        #[test]
        fn renamed_document_has_the_new_name(name in "[a-z]{1,10}", description in "[a-z ]{1,40}", body in "[a-z\\n#-]{0,60}") {
            let text = format!("---\nname: {name}\ndescription: a{description}\n---\n{body}");
            let document = read_document(renamed(&text).as_bytes(), "folder").unwrap();
            prop_assert_eq!(document.name.as_str(), "new-name");
            prop_assert!(renamed(&text).ends_with(&body));
        }

        #[test]
        fn any_bytes_are_accepted(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = with_name(&bytes, &"new-name".parse().unwrap());
        }
    }
}

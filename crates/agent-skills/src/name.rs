//! The name of a skill: from its front matter, else from its folder, never from its text. So an edit of the text never
//! changes the name.

use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization as _;

use crate::diagnostics::Diagnostic;
use crate::digest::Digest;
use crate::slug::Slug;
use crate::text::without_quotation_marks;

/// A valid `name` in the front matter has priority over the folder's name: it travels with the file, while copies of
/// the folder may be renamed.
pub(crate) fn name_of(written: &str, folder_name: &str, diagnostics: &mut Vec<Diagnostic>) -> Slug {
    let written = without_quotation_marks(written.trim());
    if let Ok(name) = written.parse::<Slug>() {
        // An upload may have no folder.
        if !folder_name.is_empty() && name.as_str() != folder_name {
            diagnostics.push(Diagnostic::NameNotFolder {
                name: name.clone(),
                folder: folder_name.to_owned(),
            });
        }
        return name;
    }
    let derived = folder_name
        .parse()
        .ok()
        .or_else(|| Slug::derive(written))
        .or_else(|| Slug::derive(folder_name))
        .unwrap_or_else(|| hashed(if written.is_empty() { folder_name } else { written }));
    diagnostics.push(if written.is_empty() {
        Diagnostic::NameMissing {
            derived: derived.clone(),
        }
    } else if is_valid_in_other_script(written) {
        Diagnostic::NameInOtherScript {
            name: written.to_owned(),
            derived: derived.clone(),
        }
    } else {
        Diagnostic::NameInvalid {
            name: written.to_owned(),
            derived: derived.clone(),
        }
    });
    derived
}

/// The name that a repair writes: `slug`, or the written name if it has letters of another script, in the form that
/// the format allows. Assistants show it, and the slug stays the one of [`name_of`].
pub(crate) fn repaired_name(map: &Map<String, Value>, slug: &Slug) -> String {
    let written = map.get("name").and_then(Value::as_str).unwrap_or_default();
    let written = without_quotation_marks(written.trim());
    let mut name = String::new();
    for c in written.chars().flat_map(char::to_lowercase).nfkc() {
        if c.is_alphanumeric() || unicode_normalization::char::is_combining_mark(c) {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name: String = name.chars().take(Slug::MAX_LEN).collect();
    let name = name.trim_end_matches('-');
    let is_same_slug = Slug::derive(name) == Slug::derive(written);
    if is_valid_in_other_script(name) && is_same_slug {
        name.to_owned()
    } else {
        slug.to_string()
    }
}

/// Whether `name` follows the rules for names, but has letters other than a to z. The specification's text speaks of
/// "unicode lowercase alphanumeric characters", and its reference validator accepts them in Unicode form NFKC.
fn is_valid_in_other_script(name: &str) -> bool {
    let is_allowed = |c: char| {
        c == '-'
            || unicode_normalization::char::is_combining_mark(c)
            || (c.is_alphanumeric() && c.to_lowercase().eq([c]))
    };
    !name.is_ascii()
        && name.chars().count() <= Slug::MAX_LEN
        && name.chars().all(is_allowed)
        && name.chars().any(|c| !c.is_ascii() && c.is_alphanumeric())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
        && name.nfkc().eq(name.chars())
}

/// A slug for a name whose characters cannot be transliterated. Equal names give equal slugs.
fn hashed(name: &str) -> Slug {
    let normalized: String = name.nfc().collect();
    let digest = Digest::of(normalized.as_bytes()).to_string();
    let hex = digest.trim_start_matches("sha256:").get(..12).unwrap_or("");
    #[expect(
        clippy::expect_used,
        reason = "`derive` fails only on text without letters, and \"skill\" has some"
    )]
    Slug::derive(&format!("skill-{hex}")).expect("a slug of letters")
}

#[cfg(test)]
mod tests {
    use crate::{read_document, repair_document};

    fn read(name: &str, folder: &str, body: &str) -> (String, Vec<&'static str>) {
        let text = format!("---\nname: {name}\ndescription: d\n---\n{body}");
        let document = read_document(text.as_bytes(), folder).unwrap();
        let codes = document.diagnostics.iter().map(|note| note.code()).collect();
        (document.name.to_string(), codes)
    }

    #[test]
    fn names_in_other_scripts_are_transliterated() {
        for (name, slug, code) in [
            ("茶会计划", "cha-hui-ji-hua", "name_in_other_script"),
            ("план-чаепития", "plan-chaepitiia", "name_in_other_script"),
            ("crème-brûlée", "creme-brulee", "name_in_other_script"),
            ("straße", "strasse", "name_in_other_script"),
            ("План Чаепития!", "plan-chaepitiia", "name_invalid"),
            ("Cre\u{300}me", "creme", "name_invalid"),
            ("“pdf-tools”", "pdf-tools", "name_not_folder"),
        ] {
            let (found, codes) = read(name, "Ordner Eins", "b");
            assert_eq!((found.as_str(), codes), (slug, vec![code]), "{name}");
        }
    }

    #[test]
    fn name_that_cannot_be_transliterated_is_hashed_without_the_text() {
        let (one, _) = read("🙂🙃", "…", "one");
        let (two, _) = read("🙂🙃", "…", "two");
        let (other, _) = read("🙃🙂", "…", "one");
        assert!(one.starts_with("skill-"), "{one}");
        assert_eq!(one, two);
        assert_ne!(one, other);
        let nameless = |body: &str| read_document(body.as_bytes(), "…").unwrap().name;
        assert_eq!(nameless("one"), nameless("two"));
    }

    #[test]
    fn numbers_and_dates_are_names() {
        for (name, slug) in [
            ("2048", "2048"),
            ("007", "007"),
            ("2026-01-31", "2026-01-31"),
            ("1.10", "1-10"),
            ("1e3", "1e3"),
            ("true", "true"),
            ("0x1F", "0x1f"),
        ] {
            assert_eq!(read(name, "Ordner", "b").0, slug, "{name}");
        }
    }

    #[test]
    fn repair_keeps_a_name_in_another_script_and_its_slug() {
        for (written, kept) in [
            ("茶会计划\nlicense: 1", "茶会计划"),
            ("План Чаепития!", "план-чаепития"),
            ("Fill PDF", "fill-pdf"),
            ("Crème Brûlée", "crème-brûlée"),
        ] {
            let slugs: Vec<String> = ["one", "two"]
                .iter()
                .map(|body| {
                    let text = format!("---\nname: {written}\ndescription: d\n---\n{body}");
                    let before = read_document(text.as_bytes(), "Ordner Eins").unwrap();
                    let fixed = repair_document(text.as_bytes(), "Ordner Eins").unwrap().unwrap();
                    let after = read_document(&fixed, "Ordner Eins").unwrap();
                    assert_eq!(after.front_matter["name"], kept);
                    assert_eq!(after.name, before.name, "{written}");
                    after.name.to_string()
                })
                .collect();
            assert_eq!(slugs[0], slugs[1]);
        }
        let named = "---\nname: 茶会计划\ndescription: d\n---\nBody";
        assert_eq!(repair_document(named.as_bytes(), "tea"), Ok(None));
    }
}

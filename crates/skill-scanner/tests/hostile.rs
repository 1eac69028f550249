//! No input makes a scan panic, and reports stay within their limits.

use proptest::prelude::*;
use skill_scanner::{ScanFile, ScanOptions, rules, scan, to_sarif};

/// Longest excerpt of a finding, in characters.
const MAX_EXCERPT_CHARS: usize = 160;

fn check(path: &str, bytes: &[u8], options: &ScanOptions) {
    let file = ScanFile {
        path,
        bytes,
        is_executable: false,
    };
    let report = scan(&[file], options);
    // The finding about too many findings comes on top of the limit.
    assert!(report.findings.len() <= options.max_findings + 1);
    for finding in &report.findings {
        assert!(
            finding.excerpt.chars().count() <= MAX_EXCERPT_CHARS,
            "{}",
            finding.excerpt
        );
        assert!(
            !finding.excerpt.chars().any(char::is_control),
            "{:?}",
            finding.excerpt
        );
        assert!(!finding.path.chars().any(char::is_control), "{:?}", finding.path);
    }
    let log = to_sarif([(&report, "")]);
    let results = log
        .pointer("/runs/0/results")
        .and_then(|results| results.as_array());
    assert_eq!(results.map(Vec::len), Some(report.findings.len()));
}

fn paths() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("SKILL.md".to_owned()),
        Just("run.sh".to_owned()),
        Just("package.json".to_owned()),
        Just("data".to_owned()),
        ".{0,40}"
    ]
}

/// Pieces of the rules' examples, cut anywhere and mixed with other bytes.
fn mixed_examples() -> impl Strategy<Value = Vec<u8>> {
    let texts: Vec<String> = rules().iter().map(|rule| rule.positive.text.clone()).collect();
    let piece = (
        proptest::sample::select(texts),
        any::<u16>(),
        ".{0,8}",
        any::<[u8; 2]>(),
    );
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| {
        let mut bytes = Vec::new();
        for (text, cut, between, odd) in pieces {
            let cut = usize::from(cut) % (text.len() + 1);
            bytes.extend_from_slice(text.as_bytes().get(cut..).unwrap_or_default());
            bytes.extend_from_slice(between.as_bytes());
            bytes.extend_from_slice(&odd);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_do_not_panic(path in paths(), bytes in proptest::collection::vec(any::<u8>(), 0..8_000)) {
        check(&path, &bytes, &ScanOptions::default());
    }

    #[test]
    fn mixed_examples_do_not_panic(path in paths(), bytes in mixed_examples(), limit in 0_usize..10) {
        check(&path, &bytes, &ScanOptions { max_findings: limit, ..ScanOptions::default() });
    }
}

#[test]
fn one_long_line_of_one_character_is_scanned_in_linear_time() {
    for text in [
        "A",
        " ",
        "!`a",
        "curl ",
        "ignore all ",
        "\\x41",
        "\u{200B}",
        "\u{FDFA}",
        "<!--",
        "\n",
    ] {
        let bytes = text.repeat(200_000 / text.len());
        let start = std::time::Instant::now();
        for path in ["SKILL.md", "run.py"] {
            check(path, bytes.as_bytes(), &ScanOptions::default());
        }
        // A scan of this size takes well below a second in a release build. The limit finds quadratic time only.
        assert!(start.elapsed().as_secs() < 30, "{text:?}: {:?}", start.elapsed());
    }
}

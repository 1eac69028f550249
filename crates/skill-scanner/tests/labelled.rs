//! The worst finding of 100 malicious and 300 benign samples that were written for this crate.
//!
//! This is a regression set: it shows which samples a change of the rules finds or loses. It is neither a measurement of the
//! recall on skills in the wild nor of the precision, because the authors of the rules wrote the samples.
//!
//! `SKILL_SCANNER_WRITE_EXPECTED=1 cargo test -p skill-scanner --test labelled` rewrites `labelled/expected.txt`.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write;

use serde::Deserialize;
use skill_scanner::{ScanFile, ScanOptions, Severity, scan};

const EXPECTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/labelled/expected.txt");

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sample {
    id: String,
    name: Option<String>,
    description: Option<String>,
    front_matter: String,
    path: Option<String>,
    text: String,
}

#[derive(Deserialize)]
struct Malicious {
    sample: Vec<Sample>,
}

impl Sample {
    /// `SKILL.md`, and the sample's own file if it is another one.
    fn files(&self) -> Vec<(String, String)> {
        let name = self.name.as_deref().unwrap_or("meeting-notes");
        let description = self
            .description
            .as_deref()
            .unwrap_or("Summarises meetings. Use when the user asks for minutes.");
        let body = match self.path {
            None => &*self.text,
            Some(_) => "Write the minutes in five points.",
        };
        let quoted = serde_json::Value::from(description);
        let front_matter = &self.front_matter;
        let skill_md = format!(
            "---\nname: {name}\ndescription: {quoted}\n{front_matter}---\n\n# Minutes\n\nRead the notes.\n\n{body}\n"
        );
        let mut files = vec![("SKILL.md".to_owned(), skill_md)];
        if let Some(path) = &self.path {
            files.push((path.clone(), self.text.clone()));
        }
        files
    }

    fn worst(&self) -> Option<Severity> {
        let files = self.files();
        let files: Vec<ScanFile<'_>> = files
            .iter()
            .map(|(path, text)| ScanFile {
                path,
                bytes: text.as_bytes(),
                is_executable: path.starts_with("scripts/"),
            })
            .collect();
        let report = scan(&files, &ScanOptions::default());
        report.findings.iter().map(|finding| finding.severity).max()
    }
}

fn malicious() -> Result<Vec<Sample>, Box<dyn Error>> {
    let file: Malicious = toml::from_str(include_str!("labelled/malicious.toml"))?;
    Ok(file.sample)
}

fn benign() -> Result<Vec<Sample>, Box<dyn Error>> {
    let groups: BTreeMap<String, Vec<String>> = toml::from_str(include_str!("labelled/benign.toml"))?;
    let mut samples = Vec::new();
    for (group, texts) in groups {
        for (index, text) in texts.into_iter().enumerate() {
            let mut sample = Sample {
                id: format!("benign-{group}-{}", index + 1),
                ..Sample::default()
            };
            match &*group {
                "skill_md" => sample.text = text,
                "description" => sample.description = Some(text),
                path => {
                    sample.path = Some(path.to_owned());
                    sample.text = text;
                }
            }
            samples.push(sample);
        }
    }
    Ok(samples)
}

#[test]
fn worst_severity_of_each_sample_is_as_recorded() -> Result<(), Box<dyn Error>> {
    let (malicious, benign) = (malicious()?, benign()?);
    let families: BTreeSet<&str> = malicious
        .iter()
        .filter_map(|sample| sample.id.rsplit_once('-'))
        .map(|(family, _)| family)
        .collect();
    assert_eq!((malicious.len(), families.len(), benign.len()), (100, 12, 300));

    let mut actual = String::new();
    for from in [Severity::High, Severity::Medium, Severity::Low] {
        let count = |samples: &[Sample]| {
            samples
                .iter()
                .filter(|sample| sample.worst() >= Some(from))
                .count()
        };
        let (found, wrong) = (count(&malicious), count(&benign));
        writeln!(
            actual,
            "{from} or worse: {found} of 100 malicious, {wrong} of 300 benign"
        )?;
    }
    for sample in malicious.iter().chain(&benign) {
        match sample.worst() {
            Some(worst) => writeln!(actual, "{} {worst}", sample.id)?,
            // Most benign samples have no finding, which needs no line.
            None if sample.id.starts_with("benign-") => {}
            None => writeln!(actual, "{} none", sample.id)?,
        }
    }
    if std::env::var_os("SKILL_SCANNER_WRITE_EXPECTED").is_some() {
        std::fs::write(EXPECTED, &actual)?;
    }
    assert_eq!(actual, std::fs::read_to_string(EXPECTED)?);
    Ok(())
}

//! Writes reports in the Test Anything Protocol, version 14 (<https://testanything.org/tap-version-14-specification.html>).

use super::report::RunReport;

/// One test point for each step. A failed one has a YAML block with the place and the differences.
#[must_use]
pub fn to_tap(runs: &[RunReport]) -> String {
    let total: usize = runs.iter().map(|run| run.steps.len()).sum();
    let mut lines = vec!["TAP version 14".to_owned(), format!("1..{total}")];
    let steps = runs
        .iter()
        .flat_map(|run| run.steps.iter().map(move |step| (run, step)));
    for (number, (run, step)) in (1..).zip(steps) {
        let verdict = if step.passed() { "ok" } else { "not ok" };
        lines.push(format!("{verdict} {number} - {}", escaped(&run.title(step))));
        for note in &step.notes {
            lines.push(format!("# {}", one_line(note)));
        }
        if step.passed() {
            continue;
        }
        lines.push("  ---".to_owned());
        lines.push(format!("  at: {}", quoted(&run.place(step))));
        lines.push("  message:".to_owned());
        lines.extend(
            step.failures
                .iter()
                .map(|failure| format!("    - {}", quoted(failure))),
        );
        lines.push("  ...".to_owned());
    }
    lines.join("\n")
}

/// `#` begins a directive in a description.
fn escaped(text: &str) -> String {
    one_line(text).replace('\\', "\\\\").replace('#', "\\#")
}

fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A JSON string is a YAML string in double quotes.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::report::examples;

    #[test]
    fn each_step_is_a_test_point_and_failures_are_explained() {
        let expected = r#"TAP version 14
1..3
ok 1 - Who <am> I \#1 over stdio, step 1: asks
not ok 2 - Who <am> I \#1 over stdio, step 2: asks again
  ---
  at: "a.yaml:20"
  message:
    - "/a: expected \"<1>\", found \"\u001b]\""
    - "/b: expected 1, found 2"
  ...
ok 3 - b.yaml over stdio, step 1: asks
# events were not checked"#;
        assert_eq!(to_tap(&examples()), expected);
    }
}

//! Writes reports as JUnit XML, which CI services read.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::report::RunReport;

/// One suite for each run, one case for each step.
///
/// # Errors
/// When the XML cannot be written.
pub fn to_junit(runs: &[RunReport]) -> Result<String, String> {
    let mut report = Report::new("skillkeep test");
    for run in runs {
        let mut suite = TestSuite::new(format!("{} ({})", run.name, run.transport));
        for step in &run.steps {
            let mut status = TestCaseStatus::success();
            if let Some(first) = step.failures.first() {
                status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(first.as_str());
                status.set_description(format!("{}\n{}", run.place(step), step.failures.join("\n")));
            }
            let mut case = TestCase::new(format!("step {}: {}", step.number, step.name), status);
            case.set_classname(run.file.as_str());
            case.set_time(step.duration);
            if !step.notes.is_empty() {
                case.set_system_out(step.notes.join("\n"));
            }
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    report.to_string().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::report::examples;

    #[test]
    fn failed_step_is_a_failure_in_valid_xml() {
        let xml = to_junit(&examples()).unwrap();
        let report = Report::deserialize_from_str(&xml).unwrap();
        assert_eq!((report.tests, report.failures), (3, 1), "{xml}");
        assert!(xml.contains("Who &lt;am&gt; I #1 (stdio)"), "{xml}");
        assert!(xml.contains("a.yaml:20"), "{xml}");
        assert!(!xml.contains('\u{1b}'), "{xml}");
        assert!(xml.contains("events were not checked"), "{xml}");
    }
}

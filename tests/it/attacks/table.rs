//! Prints the attacks by target and route. Run the tests with `--nocapture` to see it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use skillkeep::isolation_probe::ProbeReport;

/// Each cell has the number of attacks and, in brackets, how many of them reached their target.
pub(super) fn print(reports: &[(&str, ProbeReport)]) {
    let targets: BTreeSet<&str> = reports
        .iter()
        .flat_map(|(_, report)| report.targets.keys().map(String::as_str))
        .collect();
    let mut text = "attacks (those that reached their target)\n".to_owned();
    write!(text, "{:26}", "").unwrap();
    for (route, _) in reports {
        write!(text, "{route:>17}").unwrap();
    }
    for target in targets {
        write!(text, "\n{target:26}").unwrap();
        for (_, report) in reports {
            let cell = if let Some(tally) = report.targets.get(target) {
                assert_eq!(tally.refused, tally.attacks, "{target}");
                format!("{} ({})", tally.attacks, tally.reached)
            } else {
                assert!(report.unsupported_methods.contains(target), "{target}");
                "unsupported".to_owned()
            };
            write!(text, "{cell:>17}").unwrap();
        }
    }
    write!(text, "\n{:26}", "all").unwrap();
    for (_, report) in reports {
        write!(text, "{:>17}", report.attacks).unwrap();
    }
    let all: usize = reports.iter().map(|(_, report)| report.attacks).sum();
    eprintln!("{text}\n{all} attacks, all refused");
}

//! What was attacked, how often and over what, as a table for whoever reads the run with `--nocapture`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use skillkeep::isolation_probe::ProbeReport;

/// Targets by ways in: attacks, and how many of them it was the target itself that answered.
pub(super) fn print(proofs: &[(&str, ProbeReport)]) {
    let targets: BTreeSet<&str> = proofs
        .iter()
        .flat_map(|(_, proof)| proof.targets.keys().map(String::as_str))
        .collect();
    let mut text = "attacks, and those that the target itself answered\n".to_owned();
    write!(text, "{:26}", "").unwrap();
    for (how, _) in proofs {
        write!(text, "{how:>15}").unwrap();
    }
    for target in targets {
        write!(text, "\n{target:26}").unwrap();
        for (_, proof) in proofs {
            let cell = if let Some(tally) = proof.targets.get(target) {
                assert_eq!(tally.refused, tally.attacks, "{target}");
                format!("{} ({})", tally.attacks, tally.reached)
            } else {
                assert!(proof.not_of_its_era.contains(target), "{target}");
                "not there".to_owned()
            };
            write!(text, "{cell:>15}").unwrap();
        }
    }
    write!(text, "\n{:26}", "all").unwrap();
    for (_, proof) in proofs {
        write!(text, "{:>15}", proof.attacks).unwrap();
    }
    let all: usize = proofs.iter().map(|(_, proof)| proof.attacks).sum();
    eprintln!("{text}\n{all} attacks, all refused");
}

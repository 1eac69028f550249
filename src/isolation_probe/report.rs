//! The result of the attacks.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct ProbeReport {
    /// Requests sent by the attacker; those of the control are not counted.
    pub attacks: usize,
    /// By tool and method.
    pub targets: BTreeMap<String, Tally>,
    /// Methods that the connection's protocol version does not have. Neither sent nor counted.
    pub unsupported_methods: BTreeSet<String>,
    /// Each problem found, as one sentence.
    pub findings: Vec<String>,
}

/// Attacks on one tool or method.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Requests sent.
    pub attacks: usize,
    /// Attacks that the tool or method itself answered, according to the usage events, or to the response if none is recorded.
    pub reached: usize,
    /// Attacks whose response revealed nothing of another tenant.
    pub refused: usize,
}

impl ProbeReport {
    /// Adds the results over another connection.
    pub(super) fn merge(&mut self, other: Self) {
        self.attacks += other.attacks;
        for (target, tally) in other.targets {
            self.unsupported_methods.remove(&target);
            let sum = self.targets.entry(target).or_default();
            sum.attacks += tally.attacks;
            sum.reached += tally.reached;
            sum.refused += tally.refused;
        }
        self.findings.extend(other.findings);
    }
}

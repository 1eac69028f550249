//! The quality of the search for requests whose right skill is known.

use std::path::Path;

use crate::command::{CommandOutput, program};

/// 50 requests in the words of users for the sample skills, some with errors. Measured: nDCG@10 0.970, Recall@1 0.960. A change that
/// finds less must not go unnoticed; who adds harder requests measures again.
#[test]
fn requests_for_the_samples_find_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (folder, queries) = (root.join("samples"), root.join("tests/search/samples.jsonl"));
    let (folder, queries) = (folder.to_str().unwrap(), queries.to_str().unwrap());
    let measured = CommandOutput::of(&mut program(&["search", "eval", folder, queries, "--json"])).json();
    assert_eq!(
        (&measured["requests"], &measured["skipped"]),
        (&50.into(), &0.into())
    );
    for (measure, floor) in [("nDCG@10", 0.96), ("Recall@1", 0.95), ("Recall@5", 0.97)] {
        let value = measured["measures"][measure]["value"].as_f64().unwrap();
        assert!(value >= floor, "{measure} {value} is below {floor}");
    }
}

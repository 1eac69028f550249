//! The stories in tests/stories and the example of the documentation, as CI runs them.

use std::fs;
use std::path::Path;

use super::Workspace;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_story_passes_over_every_transport() {
    let mut files: Vec<String> = fs::read_dir(root().join("tests/stories"))
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .filter(|path| path.ends_with(".yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let mut arguments: Vec<&str> = files.iter().map(String::as_str).collect();
    arguments.extend(["--transport", "all"]);
    let output = Workspace::new().run(&arguments);
    assert_eq!(output.code, 0, "{}\n{}", output.out, output.err);
}

#[test]
fn documented_example_passes() {
    let page = fs::read_to_string(root().join("docs/scripted-tests.md")).unwrap();
    let (_, rest) = page
        .split_once("```yaml\n")
        .expect("the page has an example in YAML");
    let (example, _) = rest.split_once("```").unwrap();
    let space = Workspace::new();
    let file = space.write("example.yaml", example);
    let output = space.run(&[&file, "--transport", "all"]);
    assert_eq!(output.code, 0, "{}\n{}", output.out, output.err);
}

//! Test files with mistakes: refused with file and line before anything runs.

use super::Workspace;

#[test]
fn invalid_file_is_refused_with_its_line() {
    let space = Workspace::new();
    let valid = space.write("valid.yaml", "users: {ada: {}}\nsteps: [{as: ada, call: whoami}]");
    for (text, line, message) in [
        (
            "users:\n  ada: {}\nsteps:\n- as: ada\n  cal: whoami\n",
            5,
            "unknown field `cal`",
        ),
        (
            "users:\n  ada: {}\nsteps:\n- as: bob\n  call: whoami\n",
            4,
            "no user \"bob\"",
        ),
        (
            "users:\n  ada: {}\nsteps:\n- as: ada\n  call: whoami\n  expect:\n    exists: [user]\n",
            4,
            "not a JSON pointer",
        ),
        (
            "users:\n  ada:\n    scopes: [fly]\nsteps:\n- {as: ada, call: whoami}\n",
            3,
            "fly",
        ),
        ("users:\n  ada: {\n", 2, "unclosed bracket"),
        (
            "users:\n  ada: {}\nsteps:\n- as: ada\n  call: whoami\n  events:\n  - tool: whoami\n    outcom: ok\n",
            8,
            "unknown field `outcom`",
        ),
    ] {
        let file = space.write("invalid.yaml", text);
        let output = space.run(&[&valid, &file]);
        assert_eq!(output.code, 2, "{text}\n{output:?}");
        assert_eq!(output.out, "", "nothing has run");
        let place = format!("error: {file}:{line}: ");
        assert!(output.err.starts_with(&place), "{text}\n{}", output.err);
        assert!(output.err.contains(message), "{text}\n{}", output.err);
    }
    let missing = space.run(&["attic.yaml"]);
    assert_eq!(missing.code, 2, "{missing:?}");
    assert!(missing.err.contains("cannot read attic.yaml"), "{}", missing.err);
    assert_eq!(space.run(&[]).code, 2);
}

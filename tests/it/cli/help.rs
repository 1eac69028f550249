//! The texts of `--help`, for every command that clap knows.

use clap::CommandFactory as _;
use skillkeep::cli::Cli;

use crate::command::{CommandOutput, program};

/// The longest summary of a command or an argument, in characters.
const MAX_SUMMARY: usize = 60;

/// Every command that is not hidden, with its path from the root.
fn commands() -> Vec<(Vec<String>, clap::Command)> {
    let mut root = Cli::command();
    root.build();
    let mut found = Vec::new();
    let mut pending = vec![(Vec::new(), root)];
    while let Some((path, command)) = pending.pop() {
        for child in command.get_subcommands() {
            if child.get_name() == "help" || child.is_hide_set() {
                continue;
            }
            let child_path = [path.clone(), vec![child.get_name().to_owned()]].concat();
            pending.push((child_path, child.clone()));
        }
        found.push((path, command));
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

#[test]
fn clap_accepts_every_command_definition() {
    Cli::command().debug_assert();
}

#[test]
fn help_of_every_command_matches_its_snapshot() {
    let commands = commands();
    assert!(commands.len() > 20, "only {} commands", commands.len());
    for (path, _) in commands {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        arguments.push("--help");
        let mut command = program(&arguments);
        // Settings of the environment would be part of the text, and the width of the terminal would wrap it.
        for name in ["SKILLKEEP_PG_BIN", "SKILLKEEP_AUDIT_KEY", "COLUMNS"] {
            command.env_remove(name);
        }
        let help = CommandOutput::of(&mut command);
        assert_eq!(help.code, 0, "{help:?}");
        let name = [&["skillkeep".to_owned()], path.as_slice()].concat().join("-");
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, help.out);
        });
    }
}

#[test]
fn summaries_are_one_short_line() {
    let mut wrong = Vec::new();
    for (path, command) in commands() {
        let about = command.get_about().map(ToString::to_string);
        let helps = command
            .get_arguments()
            .map(|argument| argument.get_help().map(ToString::to_string));
        for text in std::iter::once(about).chain(helps) {
            match text {
                None => wrong.push(format!("{path:?}: a summary is missing")),
                Some(text) if text.chars().count() > MAX_SUMMARY || text.contains('\n') => {
                    wrong.push(format!("{path:?}: {text}"));
                }
                Some(_) => {}
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

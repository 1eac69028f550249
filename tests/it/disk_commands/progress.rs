//! Progress and colors: on a terminal, and nowhere else.

use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Stdio};

use super::Desk;

/// Runs a command whose stderr is a terminal, and returns what it wrote there.
fn on_terminal(command: &mut Command) -> String {
    let window = nix::pty::Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pty = nix::pty::openpty(&window, None).unwrap();
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::from(pty.slave))
        .spawn()
        .unwrap();
    // The command holds the other end too, and the terminal is read up to its end.
    *command = Command::new("true");
    let mut master = File::from(pty.master);
    let mut written = Vec::new();
    let mut part = [0; 4096];
    // Linux reports the end of a terminal as an error.
    while let Ok(count @ 1..) = master.read(&mut part) {
        written.extend_from_slice(&part[..count]);
    }
    assert!(
        child.wait().unwrap().success(),
        "{}",
        String::from_utf8_lossy(&written)
    );
    String::from_utf8(written).unwrap()
}

fn has_colors(text: &str) -> bool {
    // Select Graphic Rendition ends with `m`; the movements of the cursor do not.
    let sequences = text.split("\u{1b}[").skip(1);
    sequences
        .filter_map(|rest| rest.chars().find(char::is_ascii_alphabetic))
        .any(|end| end == 'm')
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_shown_on_a_terminal_only_and_never_with_quiet() {
    let desk = Desk::new().await;
    for name in ["waves", "winds"] {
        desk.publish(name, "1.0").await;
    }
    let skills = ["tides", "waves", "winds"];
    let add = [&["add", "--url", &desk.url][..], &skills].concat();
    let shown = on_terminal(&mut desk.command(&add));
    for (number, skill) in skills.iter().enumerate() {
        let line = format!("skill {} of 3: {skill}", number + 1);
        assert!(shown.contains(&line), "{line}: {shown:?}");
    }
    // The line is gone at the end.
    assert!(
        shown.trim_end().ends_with("\u{1b}[2K") || shown.ends_with('\r'),
        "{shown:?}"
    );
    assert!(!has_colors(&shown), "{shown:?}");
    for name in skills {
        desk.publish(name, "1.1").await;
    }
    for command in ["update", "sync"] {
        let arguments = [command, "--url", &desk.url];
        let shown = on_terminal(&mut desk.command(&arguments));
        assert!(shown.contains("skill 3 of 3: winds"), "{command}: {shown:?}");
        let quiet = on_terminal(&mut desk.command(&[&arguments[..], &["--quiet"]].concat()));
        assert_eq!(quiet, "", "{command}");
        let piped = desk.ok(&[command]);
        assert!(!piped.contains("skill 3 of 3"), "{piped}");
    }
    let piped = desk.with_code(0, &[&["add"][..], &skills].concat());
    assert_eq!(piped.err, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_has_colors_on_a_terminal_unless_no_color_is_set() {
    let desk = Desk::new().await;
    let arguments = [
        "--log",
        "skillkeep=debug,hyper_util=debug,reqwest=debug",
        "add",
        "tides",
        "--quiet",
        "--url",
        &desk.url,
    ];
    // A list of installs that cannot be read is a warning.
    let known = desk.home.join(".config/skillkeep/known-installs.json");
    std::fs::create_dir_all(known.parent().unwrap()).unwrap();
    let shown = |no_color: Option<&str>| {
        std::fs::create_dir_all(&known).unwrap();
        let mut command = desk.command(&arguments);
        command.env_remove("NO_COLOR");
        command.envs(no_color.map(|value| ("NO_COLOR", value)));
        let shown = on_terminal(&mut command);
        assert!(shown.contains("WARN"), "{shown:?}");
        shown
    };
    assert!(has_colors(&shown(None)));
    assert!(has_colors(&shown(Some(""))));
    let plain = shown(Some("1"));
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
}

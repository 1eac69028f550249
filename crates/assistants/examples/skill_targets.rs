//! Prints the table of skills folders as JSON; `tests/assistants/run` compares it with the programs.

use std::io::Write as _;

use assistants::skill_targets::{
    EqualNames, Level, Links, Nesting, OverLimit, Row, SkillAssistant, SkillName, install_folder,
};
use serde_json::{Value, json};

fn main() -> std::io::Result<()> {
    let rows: Vec<Value> = SkillAssistant::ALL.into_iter().map(json_of).collect();
    writeln!(std::io::stdout(), "{:#}", Value::Array(rows))
}

fn json_of(assistant: SkillAssistant) -> Value {
    let row = assistant.row();
    let install = |level| install_folder(assistant, level).map(|folder| folder.written());
    let moved = row
        .moved
        .iter()
        .map(|moved| json!({"variable": moved.variable, "replaces": moved.replaces}));
    let added = row
        .added
        .iter()
        .map(|added| json!({"variable": added.variable, "separator": added.separator, "below": added.below}));
    json!({
        "id": assistant.name(),
        "title": row.title,
        "project": row.project,
        "user": row.user,
        "install": {"project": install(Level::Project), "user": install(Level::User)},
        "reads_parents": row.reads_parents,
        "admin": {"linux": row.admin_linux, "macos": row.admin_macos},
        "moved": moved.collect::<Vec<_>>(),
        "added": added.collect::<Vec<_>>(),
        "skill_name": skill_name(row.skill_name),
        "equal_names": equal_names(row.equal_names),
        "depth": depth(row.nesting),
        "links": links(row.links),
        "description_limit": description_limit(row),
        "catalogue_limit": row.catalogue_limit,
        "checked": row.checked.map(|checked| json!({"program": checked.program, "date": checked.date})),
    })
}

const fn skill_name(name: SkillName) -> &'static str {
    match name {
        SkillName::Folder => "folder",
        SkillName::FrontMatter => "front-matter",
        SkillName::FrontMatterAndFolder => "front-matter-and-folder",
    }
}

const fn equal_names(equal_names: EqualNames) -> &'static str {
    match equal_names {
        EqualNames::UserHidesProject => "user-hides-project",
        EqualNames::ProjectHidesUser => "project-hides-user",
        EqualNames::Undetermined => "undetermined",
        EqualNames::AllShown => "all-shown",
        EqualNames::Unknown => "unknown",
    }
}

/// Levels below the skills folder; -1 for any number.
fn depth(nesting: Nesting) -> Option<i16> {
    match nesting {
        Nesting::OneLevel => Some(1),
        Nesting::Depth(levels) => Some(i16::from(levels)),
        Nesting::Recursive => Some(-1),
        Nesting::Unknown => None,
    }
}

const fn links(links: Links) -> &'static str {
    match links {
        Links::Followed => "followed",
        Links::FollowedOnce => "followed-once",
        Links::NotFollowed => "not-followed",
        Links::Unknown => "unknown",
    }
}

fn description_limit(row: &Row) -> Option<Value> {
    let over = |over| match over {
        OverLimit::Refused => "refused",
        OverLimit::Cut => "cut",
    };
    row.description_limit
        .map(|limit| json!({"chars": limit.chars, "over": over(limit.over)}))
}

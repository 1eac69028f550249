//! docs/assistants.md is written from the table. `ASSISTANTS_WRITE_PAGE=1` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use assistants::skill_targets::{
    EqualNames, How, Level, Links, OverLimit, SkillAssistant, SkillsFolder, install_folder,
    needs_folder_of_name,
};

const INTRODUCTION: &str = "\
# Where assistants look for skills

This page is written from the table in `crates/assistants/src/skill_targets/table.rs`; change it there. Paths without `~` are relative to the
project's root. A folder in bold is the one to which a skill is installed. Most assistants read `.agents/skills`: one copy there
serves them all.

## Folders

";

const RULES: &str = "
## Rules

*Name = folder*: a skill is loaded only if its folder has the name in the front matter. *Beside .agents/skills*: what an assistant needs if
the files are in `.agents/skills` and it does not read that folder; \"copy\" where it is not known that links are followed.

| assistant | name = folder | beside .agents/skills, project | user | skills of the same name | description | variables | administrator's folder |
|---|---|---|---|---|---|---|---|
";

const SOURCES: &str = "
## Sources

*Ran*: the program was started with skills in all these folders, and its list was compared with the table; `tests/assistants/run` repeats that.
*Read code*: the code of the program was read. Rows without a program rest on the source alone.

| assistant | source | date | compared with | how | what |
|---|---|---|---|---|---|
";

fn page() -> Result<String, std::fmt::Error> {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("| assistant | name | project | user |\n|---|---|---|---|\n");
    for assistant in SkillAssistant::ALL {
        let (project, user) = (
            folders(assistant, Level::Project),
            folders(assistant, Level::User),
        );
        writeln!(
            page,
            "| {} | `{assistant}` | {project} | {user} |",
            assistant.title()
        )?;
    }
    page.push_str(RULES);
    for assistant in SkillAssistant::ALL {
        let row = assistant.row();
        let name = if needs_folder_of_name(assistant) {
            "yes"
        } else {
            "no"
        };
        writeln!(
            page,
            "| {} | {name} | {} | {} | {} | {} | {} | {} |",
            assistant.title(),
            beside(assistant, Level::Project),
            beside(assistant, Level::User),
            equal_names(row.equal_names),
            description(assistant),
            list(
                row.moved
                    .iter()
                    .map(|moved| moved.variable)
                    .chain(row.added.iter().map(|added| added.variable))
            ),
            list(row.admin_linux.iter().copied()),
        )?;
    }
    page.push_str(SOURCES);
    for assistant in SkillAssistant::ALL {
        let row = assistant.row();
        let checked = row.checked.map(|checked| {
            let how = match checked.how {
                How::Ran => "ran",
                How::ReadCode => "read code",
            };
            format!("{}, {} | {how} | {}", checked.program, checked.date, checked.what)
        });
        let checked = checked.unwrap_or_else(|| "– | – | –".to_owned());
        writeln!(
            page,
            "| {} | {} | {} | {checked} |",
            assistant.title(),
            row.source,
            row.source_date
        )?;
    }
    Ok(page)
}

fn folders(assistant: SkillAssistant, level: Level) -> String {
    let target = install_folder(assistant, level);
    let text = |folder: SkillsFolder| {
        if Some(folder) == target {
            format!("**`{folder}`**")
        } else {
            format!("`{folder}`")
        }
    };
    let folders: Vec<String> = assistant.folders(level).map(text).collect();
    if folders.is_empty() {
        "–".to_owned()
    } else {
        folders.join(", ")
    }
}

fn beside(assistant: SkillAssistant, level: Level) -> &'static str {
    if install_folder(assistant, level).is_none() {
        return "–";
    }
    if assistant.reads_shared(level) {
        return "nothing";
    }
    match assistant.row().links {
        Links::Followed | Links::FollowedOnce => "link",
        Links::NotFollowed | Links::Unknown => "copy",
    }
}

fn equal_names(equal_names: EqualNames) -> &'static str {
    match equal_names {
        EqualNames::UserHidesProject => "the user's hides the project's",
        EqualNames::ProjectHidesUser => "the project's hides the user's",
        EqualNames::Undetermined => "one is used, not always the same",
        EqualNames::AllShown => "all are listed",
        EqualNames::Unknown => "not known",
    }
}

fn description(assistant: SkillAssistant) -> String {
    let limit = assistant.row().description_limit;
    let text = limit.map(|limit| match limit.over {
        OverLimit::Refused => format!("refused over {} characters", limit.chars),
        OverLimit::Cut => format!("cut after {} characters", limit.chars),
    });
    text.unwrap_or_else(|| "–".to_owned())
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<String> = items.map(|item| format!("`{item}`")).collect();
    if items.is_empty() {
        "–".to_owned()
    } else {
        items.join(", ")
    }
}

#[test]
fn page_follows_the_table() -> Result<(), Box<dyn std::error::Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/assistants.md");
    let actual = page()?;
    if std::env::var_os("ASSISTANTS_WRITE_PAGE").is_some() {
        std::fs::write(&path, &actual)?;
    }
    let stale = "docs/assistants.md is stale: run this test with ASSISTANTS_WRITE_PAGE=1";
    assert!(std::fs::read_to_string(&path)? == actual, "{stale}");
    Ok(())
}

//! Reads a test file: YAML with tenants, users and steps.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::step::Step;
use crate::ids::Slug;
use crate::registry::settings::{SettingError, SettingKey, Settings};
use crate::tenancy::users::Email;
use crate::tenancy::{Scope, Scopes};

/// The tenant of a file that names none.
pub(super) const DEFAULT_TENANT: &str = "test";

/// What is wrong with a test file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    file: String,
    line: Option<u64>,
    reason: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.reason),
            None => write!(f, "{}: {}", self.file, self.reason),
        }
    }
}

impl std::error::Error for FileError {}

/// A valid test file.
#[derive(Debug)]
pub struct TestFile {
    /// The path, as the caller named it.
    pub path: String,
    pub(super) name: Option<String>,
    pub(super) tenants: BTreeMap<String, TenantSpec>,
    pub(super) users: BTreeMap<String, UserSpec>,
    /// Steps with the line on which they begin.
    pub(super) steps: Vec<(u64, Step)>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct TenantSpec {
    /// Settings with their texts, as `skillkeep settings set` takes them.
    pub(super) settings: Vec<(SettingKey, String)>,
    /// Whether the tenant has the sample skills.
    pub(super) samples: bool,
}

#[derive(Debug, Clone)]
pub(super) struct UserSpec {
    pub(super) tenant: String,
    pub(super) email: Email,
    pub(super) scopes: Scopes,
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFile {
    name: Option<String>,
    #[serde(default)]
    tenants: BTreeMap<String, Spanned<WrittenTenant>>,
    users: BTreeMap<String, Spanned<WrittenUser>>,
    steps: Vec<Spanned<Step>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenTenant {
    settings: BTreeMap<String, Value>,
    samples: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenUser {
    tenant: Option<String>,
    email: Option<String>,
    scopes: Option<Vec<String>>,
}

impl TestFile {
    /// Parses and checks a file. `path` is for messages.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(path: &str, text: &str) -> Result<Self, FileError> {
        let error = |line: Option<u64>, reason: String| FileError {
            file: path.to_owned(),
            line,
            reason,
        };
        let written: WrittenFile =
            serde_saphyr::from_str_with_options(text, options()).map_err(|failed| {
                let line = failed.location().map(|location| location.line());
                error(line, reason(&failed))
            })?;
        let mut tenants = BTreeMap::new();
        for (name, tenant) in written.tenants {
            let line = Some(tenant.referenced.line());
            let spec = tenant_spec(&name, tenant.value).map_err(|reason| error(line, reason))?;
            tenants.insert(name, spec);
        }
        if tenants.is_empty() {
            tenants.insert(DEFAULT_TENANT.to_owned(), TenantSpec::default());
        }
        if written.users.is_empty() {
            return Err(error(None, "`users` is empty; a step needs a user".to_owned()));
        }
        if written.steps.is_empty() {
            return Err(error(
                None,
                "`steps` is empty; there is nothing to run".to_owned(),
            ));
        }
        let mut users = BTreeMap::new();
        for (name, user) in written.users {
            let line = Some(user.referenced.line());
            let user = user_spec(&name, user.value, &tenants).map_err(|reason| error(line, reason))?;
            users.insert(name, user);
        }
        let mut known = predefined(users.keys());
        let mut steps = Vec::new();
        for step in written.steps {
            let line = step.referenced.line();
            let step = step.value;
            check_step(&step, &users, &known).map_err(|reason| error(Some(line), reason))?;
            known.extend(step.save.keys().cloned());
            steps.push((line, step));
        }
        Ok(Self {
            path: path.to_owned(),
            name: written.name,
            tenants,
            users,
            steps,
        })
    }

    /// The names of the users.
    pub fn users(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(String::as_str)
    }

    /// Whether a step looks at usage events, which only a throw-away database shows.
    #[must_use]
    pub fn needs_events(&self) -> bool {
        self.steps.iter().any(|(_, step)| step.events.is_some())
    }
}

/// YAML 1.2: `yes`, `on` and `y` are texts.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
    }
}

/// The parser's message on one line, without the excerpt of the file, the place and hints for programmers.
fn reason(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or_default();
    let message = first
        .rsplit_once(" at line ")
        .map_or(first, |(message, _)| message);
    message
        .split(", set DuplicateKeyPolicy")
        .next()
        .unwrap_or(message)
        .to_owned()
}

fn check_step(
    step: &Step,
    users: &BTreeMap<String, UserSpec>,
    known: &HashSet<String>,
) -> Result<(), String> {
    if !users.contains_key(&step.user) {
        let names: Vec<&str> = users.keys().map(String::as_str).collect();
        return Err(format!(
            "there is no user \"{}\" in this file; the users are {}",
            step.user,
            names.join(", ")
        ));
    }
    step.check(known)
}

/// The name of the variable with a user's email address.
pub(super) fn email_variable(user: &str) -> String {
    format!("{user}.email")
}

/// The name of the variable with the slug of the calling user's tenant.
pub(super) const TENANT_VARIABLE: &str = "tenant";

fn predefined<'a>(users: impl Iterator<Item = &'a String>) -> HashSet<String> {
    users
        .map(|user| email_variable(user))
        .chain([TENANT_VARIABLE.to_owned()])
        .collect()
}

fn tenant_spec(name: &str, written: WrittenTenant) -> Result<TenantSpec, String> {
    name.parse::<Slug>()
        .map_err(|error| format!("the tenant \"{name}\": {error}"))?;
    let mut settings = Vec::new();
    for (key, value) in written.settings {
        let key: SettingKey = key.parse().map_err(|error: SettingError| error.to_string())?;
        let text = setting_text(&value);
        // Checked here, so that a wrong value is told before anything runs.
        Settings::default()
            .set(key, &text)
            .map_err(|error| error.to_string())?;
        settings.push((key, text));
    }
    Ok(TenantSpec {
        settings,
        samples: written.samples,
    })
}

/// The text of a setting's value; a list is written with commas.
fn setting_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(setting_text).collect::<Vec<_>>().join(","),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

fn user_spec(
    name: &str,
    written: WrittenUser,
    tenants: &BTreeMap<String, TenantSpec>,
) -> Result<UserSpec, String> {
    if name.is_empty()
        || !name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    {
        return Err(format!(
            "the user \"{name}\" may have letters, digits, - and _ only"
        ));
    }
    let names: Vec<&str> = tenants.keys().map(String::as_str).collect();
    let tenant = match (written.tenant, names.as_slice()) {
        (Some(tenant), _) if tenants.contains_key(&tenant) => tenant,
        (Some(tenant), _) => {
            return Err(format!(
                "there is no tenant \"{tenant}\" in this file; the tenants are {}",
                names.join(", ")
            ));
        }
        (None, [only]) => (*only).to_owned(),
        (None, _) => {
            return Err(format!(
                "the user \"{name}\" needs a `tenant`: {}",
                names.join(" or ")
            ));
        }
    };
    let email = written.email.unwrap_or_else(|| format!("{name}@example.com"));
    let scopes = match written.scopes {
        Some(scopes) => {
            Scopes::parse(scopes.iter().map(String::as_str)).map_err(|error| error.to_string())?
        }
        // As `skillkeep key create`.
        None => Scopes::new([Scope::SkillsRead, Scope::SkillsInstall, Scope::UsageWrite]),
    };
    Ok(UserSpec {
        tenant,
        email: email.parse()?,
        scopes,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINIMAL: &str = "users: {ada: {}}\nsteps:\n- {as: ada, call: whoami}\n";

    fn error(text: &str) -> String {
        TestFile::parse("a.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn minimal_file_gets_its_defaults() {
        let file = TestFile::parse("a.yaml", MINIMAL).unwrap();
        let ada = &file.users["ada"];
        assert_eq!(
            (ada.tenant.as_str(), ada.email.as_str()),
            ("test", "ada@example.com")
        );
        assert_eq!(file.steps[0].0, 3);
        assert_eq!(file.steps[0].1.repeat, 1);
        assert!(!file.needs_events());
    }

    #[test]
    fn mistake_is_reported_with_file_and_line() {
        for (text, line, message) in [
            (format!("{MINIMAL}  wiht: {{}}\n"), "4", ""),
            (MINIMAL.replace("call: whoami", "tool: whoami"), "3", "tool"),
            (format!("nmae: x\n{MINIMAL}"), "1", "nmae"),
            (MINIMAL.replace("ada: {}", "ada: {scope: []}"), "1", "scope"),
            (MINIMAL.replace("ada: {}", "ada: {scopes: [read]}"), "1", "read"),
            (MINIMAL.replace("ada: {}", "ada: {email: nobody}"), "1", ""),
            (
                MINIMAL.replace("ada: {}", "ada: {tenant: acme}"),
                "1",
                "no tenant \"acme\"",
            ),
            (
                MINIMAL.replace("as: ada", "as: bob"),
                "3",
                "no user \"bob\" in this file; the users are ada",
            ),
            (MINIMAL.replace("whoami", "whoami, repeat: 0"), "3", "1 to 1000"),
            (
                MINIMAL.replace("whoami", "whoami, expect: {equal: {}}"),
                "3",
                "equal",
            ),
            (
                MINIMAL.replace("whoami", "whoami, expect: {exists: [hits]}"),
                "3",
                "not a JSON pointer",
            ),
            (
                MINIMAL.replace("whoami", "whoami, expect: {outcome: fine}"),
                "3",
                "not an outcome",
            ),
            (
                MINIMAL.replace("whoami", "whoami, with: {a: '${id}'}"),
                "3",
                "${id} has no value here",
            ),
            (
                MINIMAL.replace("whoami", "whoami, save: {a-b: /x}"),
                "3",
                "letters, digits and _",
            ),
            (
                MINIMAL.replace("whoami", "whoami, events: [{tol: x}]"),
                "3",
                "tol",
            ),
            (
                MINIMAL.replace("whoami", "whoami, files: {a: {text: x, base64: y}}"),
                "3",
                "either `text` or `base64`",
            ),
        ] {
            let found = error(&text);
            assert!(found.starts_with(&format!("a.yaml:{line}: ")), "{text}\n{found}");
            assert!(found.contains(message), "{text}\n{found}");
            assert!(!found.contains('\n'), "{found}");
        }
        for (text, message) in [
            ("users: {}\nsteps: [{as: a, call: b}]", "`users` is empty"),
            ("users: {a: {}}\nsteps: []", "`steps` is empty"),
            ("users: {a: {}}", "steps"),
            ("", ""),
        ] {
            let found = error(text);
            assert!(found.starts_with("a.yaml") && found.contains(message), "{found}");
        }
    }

    #[test]
    fn settings_are_read_as_texts() {
        let settings = "{review.policy: required, usage.retention_months: 12, publish.users: [a@b.example, c@d.example]}";
        let text = format!("tenants: {{acme: {{settings: {settings}}}}}\n{MINIMAL}");
        let file = TestFile::parse("a.yaml", &text).unwrap();
        let settings = &file.tenants["acme"].settings;
        let texts: Vec<&str> = settings.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["a@b.example,c@d.example", "required", "12"]);
    }

    #[test]
    fn variable_is_known_after_the_step_that_saves_it() {
        let text = "users: {ada: {}}\nsteps:\n- {as: ada, call: a, save: {id: /x}}\n\
                    - {as: ada, call: b, with: {id: '${id}', mail: '${ada.email}', t: '${tenant}'}}\n\
                    - {as: ada, call: c, with: {n: '${n}'}, repeat: 2}\n";
        assert_eq!(TestFile::parse("a.yaml", text).unwrap().steps.len(), 3);
        let early = text.replace("call: a,", "call: a, with: {x: '${id}'},");
        assert!(error(&early).starts_with("a.yaml:3: ${id} has no value here"));
    }

    proptest! {
        #[test]
        fn any_text_is_accepted_or_refused(text in "[a-z:{}\\[\\], \n&*!|>'\"$-]{0,120}") {
            let _ = TestFile::parse("a.yaml", &text);
            let _ = TestFile::parse("a.yaml", &format!("{MINIMAL}{text}"));
        }
    }
}

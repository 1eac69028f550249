//! The three tenants of the proof, and everything of the victim's that an attacker could know.

use std::sync::Arc;

use serde_json::{Value, json};

use super::ProofError;
use super::ask::{Asking as _, Pipe};
use super::control::{Own, ask_own};
use crate::db::{AdminDb, TenantTx};
use crate::ids::{
    ApiKeyId, Digest, EventId, InstallId, ReportId, SkillId, Slug, TenantId, UserId, VersionId,
};
use crate::registry::audit::Actor;
use crate::registry::cursor;
use crate::registry::publish::{self, NewVersion};
use crate::server::{self, Door};
use crate::skill_format::{SkillFile, SkillFolder, SkillPath, read_document};
use crate::tenancy::keys::{self, NewKey};
use crate::tenancy::{Allowance, ApiKey, Scope, Scopes, authenticate, tenants, users};

/// A skill that all three have, with the same name.
pub(super) const SHARED: &str = "shared";
/// A skill that only the victim has, and a name of the same length that nobody has.
pub(super) const THEIRS: &str = "only-theirs";
pub(super) const NOBODYS: &str = "only-nobody";

/// The minutes that the victim's reports say were saved: more than all that anybody else counts. A report has at most a week.
pub(super) const VICTIMS_MINUTES: i32 = 77_777;
const WEEK_MINUTES: i32 = 10_080;
/// The victim's installs of the skill that all have.
const VICTIMS_INSTALLS: usize = 9;

/// One of the tenants.
pub struct Party {
    /// Its id.
    pub tenant: TenantId,
    /// Its short name.
    pub slug: String,
    /// A key of its that may do everything.
    pub key: ApiKey,
    /// An install of the shared skill.
    pub install: String,
    /// The digest of the shared skill's `SKILL.md`.
    pub digest: String,
}

/// Something of the victim's, and its like that does not exist.
#[derive(Debug, Clone)]
pub struct Handle {
    /// What it is.
    pub what: &'static str,
    /// The victim's.
    pub foreign: String,
    /// Nobody's.
    pub absent: String,
}

/// The tenants with what the attacks are made of.
pub struct World {
    /// Asks for the victim's things.
    pub attacker: Party,
    /// Has the same as the attacker, and asks for nothing that exists.
    pub twin: Party,
    /// Must not be found.
    pub victim: Party,
    /// What the attacker knows of the victim.
    pub handles: Vec<Handle>,
    /// The victim's cursors by the list that they belong to, each with a forged one.
    pub cursors: Vec<(&'static str, Handle)>,
    /// What no answer to the attacker may hold.
    pub secrets: Vec<String>,
    /// What the attacker was told of his own before the victim was there, each beside what his twin was told after that.
    pub own: Vec<(Own, Own)>,
}

impl World {
    /// Makes the tenants with their skills, keys, installs and reports.
    ///
    /// # Errors
    /// When the database or the server refuses.
    pub async fn plant(admin: &AdminDb, door: &Arc<Door>) -> Result<Self, ProofError> {
        let word = letters();
        let attacker = plant_party(admin, door, "attacker", "mine", "Fills in the usual forms.").await?;
        let twin = plant_party(admin, door, "twin", "mine", "Fills in the usual forms.").await?;
        // Both have done the same so far, and the one difference between the two looks is the victim.
        let mut pipe = Pipe::connect(door, attacker.key.clone()).await?;
        let before = ask_own(&attacker, &mut pipe).await?;
        let described = format!("Fills in {word} forms of theirs.");
        let victim = plant_party(admin, door, "victim", "theirs", &described).await?;
        busy(door, &victim, &described).await?;
        let mut pipe = Pipe::connect(door, twin.key.clone()).await?;
        let after = ask_own(&twin, &mut pipe).await?;
        let (handles, cursors) = learn(admin, door, &victim, &word).await?;
        let mut secrets = vec![
            word,
            "of theirs".to_owned(),
            "by theirs".to_owned(),
            email_of("theirs"),
            victim.slug.clone(),
        ];
        secrets.extend(handles.iter().map(|handle| handle.foreign.clone()));
        secrets.retain(|secret| !secret.is_empty());
        Ok(Self {
            attacker,
            twin,
            victim,
            handles,
            cursors,
            secrets,
            own: before.into_iter().zip(after).collect(),
        })
    }
}

fn email_of(own: &str) -> String {
    format!("ada@{own}.example")
}

/// Has the victim install and report so much that every count over all tenants shows it.
async fn busy(door: &Arc<Door>, victim: &Party, described: &str) -> Result<(), ProofError> {
    let mut pipe = Pipe::connect(door, victim.key.clone()).await?;
    let files = json!([
        {"path": "SKILL.md", "digest": victim.digest},
        {"path": "notes.txt", "digest": Digest::of(notes(described).as_bytes()).to_string()},
    ]);
    for _ in 0..VICTIMS_INSTALLS {
        let install = json!({"skill": SHARED, "assistant": "codex"});
        let install = call(&mut pipe, "install_skill", install).await?;
        let confirm = json!({"install_id": install.get("install_id"), "files": files});
        call(&mut pipe, "confirm_install", confirm).await?;
    }
    let mut left = VICTIMS_MINUTES;
    while left > 0 {
        let minutes = left.min(WEEK_MINUTES);
        let report =
            json!({"skill": SHARED, "outcome": "failed", "minutes_saved": minutes, "tokens": 77_777_777});
        call(&mut pipe, "record_usage", report).await?;
        left -= minutes;
    }
    Ok(())
}

/// A word that stands in no other text.
fn letters() -> String {
    let digest = Digest::of(EventId::new().to_string().as_bytes());
    let letters = digest
        .as_bytes()
        .iter()
        .take(12)
        .map(|byte| char::from(b'a' + byte % 26));
    letters.collect()
}

async fn plant_party(
    admin: &AdminDb,
    door: &Arc<Door>,
    role: &str,
    own: &str,
    description: &str,
) -> Result<Party, ProofError> {
    let broken = |what: &str| ProofError::Broken(format!("{what} could not be planted"));
    let slug: Slug = format!("proof-{role}-{}", letters())
        .parse()
        .map_err(|_| broken("a slug"))?;
    let tenant = TenantId::new();
    let tx = TenantTx::begin_as_operator(admin, tenant).await?;
    if !tenants::create(&tx, &slug, "Proof").await? {
        return Err(broken("a tenant"));
    }
    let email = email_of(own).parse().map_err(|_| broken("a user"))?;
    let user = users::ensure(&tx, &email, "").await?.id;
    let new = NewKey {
        user,
        name: "proof".to_owned(),
        scopes: Scopes::new(Scope::ALL),
        only_skills: None,
        only_tools: None,
        expires_at: None,
        allowance: Allowance::default(),
    };
    let (_, key) = keys::create(&tx, &new).await?;
    let digest = plant_skill(&tx, SHARED, description).await?;
    plant_skill(&tx, &format!("only-{own}"), &format!("Is there for {own} only.")).await?;
    tx.commit().await?;
    let mut pipe = Pipe::connect(door, key.clone()).await?;
    let install = call(
        &mut pipe,
        "install_skill",
        json!({"skill": SHARED, "assistant": "codex"}),
    )
    .await?;
    let report = json!({"skill": SHARED, "outcome": "helped", "minutes_saved": 7, "idempotency_key": format!("report-of-{role}")});
    call(&mut pipe, "record_usage", report).await?;
    call(
        &mut pipe,
        "search_skills",
        json!({"query": format!("looked for by {own}")}),
    )
    .await?;
    let text = |value: &Value, name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let install = text(&install, "install_id");
    Ok(Party {
        tenant,
        slug: slug.as_str().to_owned(),
        key,
        install,
        digest: digest.to_string(),
    })
}

fn notes(description: &str) -> String {
    format!("Notes. {description}\n")
}

/// Stores a skill; answers the digest of its `SKILL.md`.
async fn plant_skill(tx: &TenantTx, name: &str, description: &str) -> Result<Digest, ProofError> {
    let broken =
        |error: &dyn std::fmt::Display| ProofError::Broken(format!("a skill could not be planted: {error}"));
    let skill_md = format!(
        "---\nname: {name}\ndescription: {description}\nmetadata:\n  tags: {name}\n---\n\n# {name}\n\n{description}\n"
    );
    let digest = Digest::of(skill_md.as_bytes());
    let files = [("SKILL.md", skill_md), ("notes.txt", notes(description))];
    let files = files
        .into_iter()
        .map(|(path, text)| {
            Ok(SkillFile {
                path: SkillPath::parse(path).map_err(|error| broken(&error))?,
                bytes: text.into_bytes(),
                is_executable: false,
            })
        })
        .collect::<Result<_, ProofError>>()?;
    let folder = SkillFolder {
        folder_name: name.to_owned(),
        parent_name: None,
        files,
        notes: Vec::new(),
    };
    let document = read_document(folder.skill_md(), name).map_err(|error| broken(&error))?;
    let new = NewVersion {
        source: name,
        folder: &folder,
        document: &document,
        actor: &Actor::Operator("skillkeep doctor".to_owned()),
    };
    publish::store(tx, &new).await.map_err(|error| broken(&error))?;
    Ok(digest)
}

/// The structured content of a tool call that must succeed.
async fn call(pipe: &mut Pipe, tool: &str, arguments: Value) -> Result<Value, ProofError> {
    let answer = pipe
        .ask("tools/call", json!({"name": tool, "arguments": arguments}))
        .await?;
    answer
        .pointer("/result/structuredContent")
        .filter(|_| answer.pointer("/result/isError") != Some(&Value::Bool(true)))
        .cloned()
        .ok_or_else(|| ProofError::Broken(format!("{tool} refused to work for its own tenant: {answer}")))
}

type Known = (Vec<Handle>, Vec<(&'static str, Handle)>);

/// Everything of the victim's that could stand in a request.
async fn learn(admin: &AdminDb, door: &Arc<Door>, victim: &Party, word: &str) -> Result<Known, ProofError> {
    let tx = TenantTx::begin_as_operator(admin, victim.tenant).await?;
    let ids = crate::db::known_ids(&tx).await?;
    tx.roll_back().await?;
    let id = |what: &str| ids.get(what).cloned().unwrap_or_default();
    let handle = |what: &'static str, foreign: String, absent: String| Handle {
        what,
        foreign,
        absent,
    };
    let nobody = || ApiKey::generate(TenantId::new(), &mut rand::rng());
    let absent_digest = || Digest::of(letters().as_bytes()).to_string();
    let mut handles = vec![
        handle(
            "the tenant's id",
            victim.tenant.to_string(),
            TenantId::new().to_string(),
        ),
        handle(
            "the tenant's slug",
            victim.slug.clone(),
            format!("proof-victim-{}", letters()),
        ),
        handle("a user's id", id("users"), UserId::new().to_string()),
        handle("a key's id", id("api_keys"), ApiKeyId::new().to_string()),
        handle(
            "a key",
            victim.key.reveal().to_owned(),
            nobody().reveal().to_owned(),
        ),
        handle("a skill's slug", THEIRS.to_owned(), NOBODYS.to_owned()),
        handle("a skill's id", id("skills"), SkillId::new().to_string()),
        handle(
            "a version's id",
            id("skill_versions"),
            VersionId::new().to_string(),
        ),
        handle(
            "an install's id",
            victim.install.clone(),
            InstallId::new().to_string(),
        ),
        handle("a report's id", id("usage_reports"), ReportId::new().to_string()),
        handle("an event's id", id("usage_events"), EventId::new().to_string()),
        handle("a file's digest", victim.digest.clone(), absent_digest()),
        handle("a word of a description", word.to_owned(), letters()),
        handle(
            "an idempotency key",
            "report-of-victim".to_owned(),
            "report-of-nobody".to_owned(),
        ),
    ];
    let at = |slug: &str, rest: &str| format!("skill://{slug}/1/{slug}{rest}");
    for rest in ["/SKILL.md", "/notes.txt", "/", ""] {
        handles.push(handle("a URI", at(THEIRS, rest), at(NOBODYS, rest)));
    }
    handles.retain(|handle| !handle.foreign.is_empty());
    let (tx, principal) = authenticate(door.db(), &victim.key)
        .await
        .map_err(|error| ProofError::Broken(error.to_string()))?;
    tx.roll_back().await?;
    let lists = server::methods()
        .into_iter()
        .filter(|method| method.ends_with("/list"));
    let cursors = lists
        .map(|list| {
            let foreign = cursor::write(&principal, list, "a");
            let absent = foreign.chars().rev().collect();
            (list, handle("a cursor", foreign, absent))
        })
        .collect();
    let mut pipe = Pipe::connect(door, victim.key.clone()).await?;
    let page = call(&mut pipe, "search_skills", json!({"limit": 1})).await?;
    if let Some(cursor) = page.get("next_cursor").and_then(Value::as_str) {
        handles.push(handle(
            "a cursor",
            cursor.to_owned(),
            cursor.chars().rev().collect(),
        ));
    }
    Ok((handles, cursors))
}

//! The three tenants of the proof, and everything of the victim's that an attacker could know.

use std::sync::Arc;

use serde_json::{Value, json};

use super::ProbeError;
use super::client::{InMemoryClient, ProbeClient as _};
use super::positive_control::{OwnRequest, request_own};
use crate::db::{AdminDb, TenantTx};
use crate::ids::{
    ApiKeyId, Digest, EventId, InstallId, ReportId, SkillId, Slug, TenantId, UserId, VersionId,
};
use crate::registry::audit::Actor;
use crate::registry::cursor;
use crate::registry::publish::{self, NewVersion};
use crate::server::{self, CallService};
use crate::tenancy::api_keys::{self, NewKey};
use crate::tenancy::{ApiKey, CallLimits, Scope, Scopes, authenticate, tenants, users};
use agent_skills::{SkillFile, SkillFolder, SkillPath, read_document};

/// A skill that all three have, with the same name.
pub(super) const SHARED: &str = "shared";
/// A skill that only the victim has, and a name of the same length that nobody has.
pub(super) const VICTIM_ONLY: &str = "only-theirs";
pub(super) const MISSING: &str = "only-nobody";

/// The minutes that the victim's reports say were saved: more than all that anybody else counts. A report has at most a week.
pub(super) const VICTIMS_MINUTES: i32 = 77_777;
const WEEK_MINUTES: i32 = 10_080;
/// The victim's installs of the skill that all have.
const VICTIMS_INSTALLS: usize = 9;

/// One of the tenants.
pub struct TestTenant {
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
pub struct Identifier {
    /// What it is.
    pub what: &'static str,
    /// The victim's.
    pub foreign: String,
    /// Nobody's.
    pub absent: String,
}

/// The tenants with what the attacks are made of.
pub struct Fixtures {
    /// Asks for the victim's things.
    pub attacker: TestTenant,
    /// Has the same as the attacker, and asks for nothing that exists.
    pub control: TestTenant,
    /// Must not be found.
    pub victim: TestTenant,
    /// What the attacker knows of the victim.
    pub handles: Vec<Identifier>,
    /// The victim's cursors by the list that they belong to, each with a forged one.
    pub cursors: Vec<(&'static str, Identifier)>,
    /// What no answer to the attacker may hold.
    pub secrets: Vec<String>,
    /// What the attacker was told of his own before the victim was there, each beside what his control was told after that.
    pub own: Vec<(OwnRequest, OwnRequest)>,
}

impl Fixtures {
    /// Makes the tenants with their skills, keys, installs and reports.
    ///
    /// # Errors
    /// When the database or the server refuses.
    pub async fn create(admin: &AdminDb, service: &Arc<CallService>) -> Result<Self, ProbeError> {
        let word = letters();
        let attacker = create_tenant(admin, service, "attacker", "mine", "Fills in the usual forms.").await?;
        let control = create_tenant(admin, service, "control", "mine", "Fills in the usual forms.").await?;
        // Both have done the same so far, and the one difference between the two looks is the victim.
        let mut pipe = InMemoryClient::connect(service, attacker.key.clone()).await?;
        let before = request_own(&attacker, &mut pipe).await?;
        let described = format!("Fills in {word} forms of theirs.");
        let victim = create_tenant(admin, service, "victim", "theirs", &described).await?;
        busy(service, &victim, &described).await?;
        let mut pipe = InMemoryClient::connect(service, control.key.clone()).await?;
        let after = request_own(&control, &mut pipe).await?;
        let (handles, cursors) = learn(admin, service, &victim, &word).await?;
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
            control,
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
async fn busy(service: &Arc<CallService>, victim: &TestTenant, described: &str) -> Result<(), ProbeError> {
    let mut pipe = InMemoryClient::connect(service, victim.key.clone()).await?;
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

async fn create_tenant(
    admin: &AdminDb,
    service: &Arc<CallService>,
    role: &str,
    own: &str,
    description: &str,
) -> Result<TestTenant, ProbeError> {
    let broken = |what: &str| ProbeError::Broken(format!("{what} could not be planted"));
    let slug: Slug = format!("proof-{role}-{}", letters())
        .parse()
        .map_err(|_| broken("a slug"))?;
    let tenant = TenantId::new();
    let tx = TenantTx::begin_as_admin(admin, tenant).await?;
    if !tenants::create(&tx, &slug, "Proof").await? {
        return Err(broken("a tenant"));
    }
    let email = email_of(own).parse().map_err(|_| broken("a user"))?;
    let user = users::find_or_create(&tx, &email, "").await?.id;
    let new = NewKey {
        user,
        name: "proof".to_owned(),
        scopes: Scopes::new(Scope::ALL),
        only_skills: None,
        only_tools: None,
        expires_at: None,
        call_limits: CallLimits::default(),
    };
    let (_, key) = api_keys::create(&tx, &new).await?;
    let digest = create_skill(&tx, SHARED, description).await?;
    create_skill(&tx, &format!("only-{own}"), &format!("Is there for {own} only.")).await?;
    tx.commit().await?;
    let mut pipe = InMemoryClient::connect(service, key.clone()).await?;
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
    Ok(TestTenant {
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
async fn create_skill(tx: &TenantTx, name: &str, description: &str) -> Result<Digest, ProbeError> {
    let broken =
        |error: &dyn std::fmt::Display| ProbeError::Broken(format!("a skill could not be planted: {error}"));
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
        .collect::<Result<_, ProbeError>>()?;
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
async fn call(pipe: &mut InMemoryClient, tool: &str, arguments: Value) -> Result<Value, ProbeError> {
    let answer = pipe
        .ask("tools/call", json!({"name": tool, "arguments": arguments}))
        .await?;
    answer
        .pointer("/result/structuredContent")
        .filter(|_| answer.pointer("/result/isError") != Some(&Value::Bool(true)))
        .cloned()
        .ok_or_else(|| ProbeError::Broken(format!("{tool} refused to work for its own tenant: {answer}")))
}

type Known = (Vec<Identifier>, Vec<(&'static str, Identifier)>);

/// Everything of the victim's that could stand in a request.
async fn learn(
    admin: &AdminDb,
    service: &Arc<CallService>,
    victim: &TestTenant,
    word: &str,
) -> Result<Known, ProbeError> {
    let tx = TenantTx::begin_as_admin(admin, victim.tenant).await?;
    let ids = crate::db::known_ids(&tx).await?;
    tx.roll_back().await?;
    let id = |what: &str| ids.get(what).cloned().unwrap_or_default();
    let handle = |what: &'static str, foreign: String, absent: String| Identifier {
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
        handle("a skill's slug", VICTIM_ONLY.to_owned(), MISSING.to_owned()),
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
        handle("a report's id", id("skill_feedback"), ReportId::new().to_string()),
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
        handles.push(handle("a URI", at(VICTIM_ONLY, rest), at(MISSING, rest)));
    }
    handles.retain(|handle| !handle.foreign.is_empty());
    let (tx, principal) = authenticate(service.db(), &victim.key)
        .await
        .map_err(|error| ProbeError::Broken(error.to_string()))?;
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
    let mut pipe = InMemoryClient::connect(service, victim.key.clone()).await?;
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

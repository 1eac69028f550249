//! The methods besides `tools/call`, as a client sees them: lists, resources, prompts, completions.

mod catalog;
pub(crate) mod client;
mod completions;
mod error_texts;
mod events;
mod failures;
mod not_found_equivalence;
mod permissions;
mod progress;
mod prompts;
mod tools_list;
mod versions;

use agent_skills::{SkillFile, SkillFolder, SkillPath, SkillVersion, read_document};
use serde_json::{Value, json};
use skillkeep::db::TenantTx;
use skillkeep::ids::TenantId;
use skillkeep::registry::audit::Actor;
use skillkeep::registry::caller::Caller;
use skillkeep::registry::publish::{self, NewVersion, Placement, Source, StoredVersion};
use skillkeep::registry::scans;
use skillkeep::registry::settings::Settings;
use skillkeep::tenancy::api_keys::{self, NewApiKey};
use skillkeep::tenancy::{ApiKey, CallLimits, Scope, Scopes, users};

use crate::harness::TestDb;
use client::WireClient;

/// Publishes a skill with these files, as an import does.
pub(crate) async fn store(
    db: &TestDb,
    tenant: TenantId,
    folder_name: &str,
    files: &[(&str, &[u8])],
) -> StoredVersion {
    let mut files: Vec<SkillFile> = files
        .iter()
        .map(|(path, bytes)| SkillFile {
            path: SkillPath::parse(path).unwrap(),
            bytes: bytes.to_vec(),
            is_executable: path.starts_with("scripts/"),
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let folder = SkillFolder {
        folder_name: folder_name.to_owned(),
        parent_name: None,
        files,
        diagnostics: Vec::new(),
    };
    let document = read_document(folder.skill_md(), folder_name).unwrap();
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    let caller = Caller::administrator(Actor::Admin("test".to_owned()));
    let (settings, scan) = (Settings::default(), scans::scan_folder(&folder));
    let placement = Placement::Source(Source::path(folder_name));
    // Labels from before labels were checked: they are stored as they were in older databases.
    let unchecked = document
        .version
        .clone()
        .filter(|label| label.parse::<SkillVersion>().is_err());
    let version = match unchecked {
        Some(_) => {
            let versions: i64 = db.value("SELECT count(*) FROM skill_versions").await;
            Some(SkillVersion::counted(u32::try_from(versions).unwrap() + 1))
        }
        None => None,
    };
    let new = NewVersion {
        version,
        ..NewVersion::new(placement, &folder, &document, &caller, &settings, &scan)
    };
    let mut stored = publish::store(&tx, &new).await.unwrap();
    skillkeep::search::commit(tx).await.unwrap();
    if let Some(label) = unchecked {
        relabel(db, &stored, &label).await;
        stored.version = label;
    }
    stored
}

async fn relabel(db: &TestDb, stored: &StoredVersion, label: &str) {
    let superuser = db.superuser().await;
    let switch = async |state: &str| {
        superuser
            .batch_execute(&format!(
                "ALTER TABLE skill_versions {state} TRIGGER forbid_version_update"
            ))
            .await
            .unwrap();
    };
    switch("DISABLE").await;
    superuser
        .execute(
            "UPDATE skill_versions SET version = $2 WHERE id = $1",
            &[stored.version_id.as_uuid(), &label],
        )
        .await
        .unwrap();
    switch("ENABLE ALWAYS").await;
}

/// The limits of an API key.
#[derive(Default)]
pub(crate) struct KeyLimits<'a> {
    pub(crate) scopes: &'a [Scope],
    pub(crate) only_skills: Option<&'a [&'a str]>,
    pub(crate) only_tools: Option<&'a [&'a str]>,
}

impl KeyLimits<'_> {
    pub(crate) async fn key(&self, db: &TestDb, tenant: TenantId) -> ApiKey {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
        let user = users::find_or_create(&tx, &"eve@example.com".parse().unwrap(), "")
            .await
            .unwrap();
        let new = NewApiKey {
            user: user.id,
            name: "limited".to_owned(),
            scopes: Scopes::new(self.scopes.iter().copied()),
            only_skills: self.only_skills.map(owned),
            only_tools: self.only_tools.map(owned),
            expires_at: None,
            call_limits: CallLimits::default(),
        };
        let (_, key) = api_keys::create(&tx, &new).await.unwrap();
        skillkeep::search::commit(tx).await.unwrap();
        key
    }
}

/// Names in `_meta` of the Skills extension.
pub(crate) const DIGEST: &str = "io.modelcontextprotocol.skills/digest";
pub(crate) const VERSION: &str = "io.modelcontextprotocol.skills/version";
pub(crate) const YANKED: &str = "io.modelcontextprotocol.skills/yanked";

/// The lists of MCP: the method, the field that contains the items, and the field that identifies an item.
pub(crate) const LISTS: [(&str, &str, &str); 3] = [
    ("skills/list", "skills", "uri"),
    ("resources/list", "resources", "uri"),
    ("prompts/list", "prompts", "name"),
];

/// All pages of a list: the number of items on each page, and the identifying field of every item.
pub(crate) async fn pages(
    client: &mut WireClient,
    list: (&str, &str, &str),
    params: &Value,
) -> (Vec<usize>, Vec<String>) {
    let (method, items, field) = list;
    let (mut sizes, mut found) = (Vec::new(), Vec::new());
    let mut params = params.clone();
    loop {
        let page = client.ok(method, params.clone()).await;
        let values = page[items].as_array().unwrap();
        sizes.push(values.len());
        found.extend(values.iter().map(|item| item[field].as_str().unwrap().to_owned()));
        assert!(sizes.len() < 100, "{method} does not end");
        match page.get("nextCursor") {
            None => return (sizes, found),
            Some(cursor) => params["cursor"] = cursor.clone(),
        }
    }
}

/// The identifying field of every item of a list.
pub(crate) async fn all(client: &mut WireClient, list: (&str, &str, &str)) -> Vec<String> {
    pages(client, list, &json!({})).await.1
}

/// The URI of a file of a skill whose name equals its slug, without characters that need encoding.
pub(crate) fn uri(slug: &str, version: &str, path: &str) -> String {
    format!("skill://{slug}/{version}/{slug}/{path}")
}

/// The four requests that read a skill, each with its parameters.
pub(crate) fn reads(slug: &str, version: &str) -> [(&'static str, Value); 4] {
    [
        ("resources/read", json!({"uri": uri(slug, version, "SKILL.md")})),
        (
            "resources/directory/read",
            json!({"uri": format!("skill://{slug}/{version}/{slug}")}),
        ),
        ("skills/get", json!({"uri": uri(slug, version, "SKILL.md")})),
        (
            "prompts/get",
            json!({"name": slug, "arguments": {"version": version}}),
        ),
    ]
}

//! What the ClawHub client asks for, besides downloads.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::clawhub_fingerprint::fingerprint;
use super::download::find;
use super::fetch::{Fetch, Fetched};
use crate::db::DbError;
use crate::ids::VersionId;
use crate::registry::caller::Viewer;
use crate::registry::lifecycle::VersionState;
use crate::registry::usage::Subject;
use crate::registry::{listing, skills, versions};
use crate::tools::{Call, CallContext, Refusal, Rejection, ToolError, ToolName};

/// The most skills of a page, as the client's own limit.
const MAX_PAGE: u8 = 200;
/// The most hits of a search.
const MAX_HITS: u8 = 50;
/// The newest versions that are listed, and that files are compared with.
const MAX_VERSIONS: i64 = 100;

/// Whose key it is.
#[derive(Debug, Clone, Copy)]
pub struct ClawhubWhoami;

impl Fetch for ClawhubWhoami {
    const NAME: &'static str = "clawhub/whoami";
    const REQUIRED_PERMISSION: ToolName = ToolName::Whoami;
    const LOADS_SKILL: bool = false;
    /// The email address of the key's user.
    type Output = String;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Fetched<String>, ToolError> {
        Ok(fetched(cx.principal.email.clone()))
    }
}

fn fetched<T>(output: T) -> Fetched<T> {
    Fetched {
        output,
        subject: Subject::default(),
        count: None,
        bytes: 0,
    }
}

/// A skill in its latest version.
#[derive(Debug, Clone)]
pub struct ClawhubSkill {
    pub slug: String,
    pub name: String,
    pub description: String,
    pub version: String,
    /// First publication of the skill; `None` in lists.
    pub created_at: Option<Timestamp>,
    /// Last change of the skill, in lists; else the publication of the version.
    pub updated_at: Timestamp,
}

/// A search for skills.
#[derive(Debug, Clone)]
pub struct ClawhubSearch {
    pub query: String,
    pub limit: u8,
}

/// A hit of a search, best first.
#[derive(Debug, Clone)]
pub struct ClawhubHit {
    pub slug: String,
    pub name: String,
    pub description: String,
    pub version: String,
}

impl Fetch for ClawhubSearch {
    const NAME: &'static str = "clawhub/search";
    const REQUIRED_PERMISSION: ToolName = ToolName::SearchSkills;
    const LOADS_SKILL: bool = false;
    type Output = Vec<ClawhubHit>;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        vec![("query", &self.query)]
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Fetched<Vec<ClawhubHit>>, ToolError> {
        let limit = self.limit.clamp(1, MAX_HITS);
        let arguments = json!({"query": self.query, "limit": limit});
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        let call = Call::parse(ToolName::SearchSkills, arguments).map_err(|rejection| match rejection {
            Rejection::InvalidArguments(message) => ToolError::InvalidArguments(message),
            Rejection::UnknownTool => ToolError::Db(DbError::Corrupt("search_skills is unknown".to_owned())),
        })?;
        let answer = call.run(cx).await?;
        let hits = answer.output.get("hits").and_then(Value::as_array);
        let hits: Vec<ClawhubHit> = hits.into_iter().flatten().filter_map(hit).collect();
        Ok(Fetched {
            count: Some(hits.len()),
            ..fetched(hits)
        })
    }
}

fn hit(hit: &Value) -> Option<ClawhubHit> {
    let text = |field: &str| hit.get(field).and_then(Value::as_str).map(str::to_owned);
    let slug = text("skill")?;
    Some(ClawhubHit {
        name: text("name").unwrap_or_else(|| slug.clone()),
        description: text("description")?,
        version: text("version")?,
        slug,
    })
}

/// A page of the catalog, by slug.
#[derive(Debug, Clone)]
pub struct ClawhubList {
    /// The last slug of the page before; empty for the first page.
    pub after: String,
    /// Slugs that begin with this.
    pub prefix: String,
    pub limit: u8,
}

impl Fetch for ClawhubList {
    const NAME: &'static str = "clawhub/skills";
    const REQUIRED_PERMISSION: ToolName = ToolName::SearchSkills;
    const LOADS_SKILL: bool = false;
    /// The skills, and where the next page begins.
    type Output = (Vec<ClawhubSkill>, Option<String>);

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        vec![("cursor", &self.after), ("prefix", &self.prefix)]
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Fetched<Self::Output>, ToolError> {
        let limit = usize::from(self.limit.clamp(1, MAX_PAGE));
        if self.after.contains('\0') || self.prefix.contains('\0') {
            return Ok(fetched((Vec::new(), None)));
        }
        let only = cx.principal.only_skills.as_deref();
        // Slugs with a prefix follow each other. The slug before the first of them is shorter than the prefix itself.
        let begin = self
            .prefix
            .char_indices()
            .next_back()
            .map_or("", |(last, _)| self.prefix.get(..last).unwrap_or_default());
        let after = self.after.as_str().max(begin);
        let rows = if self.prefix.is_empty() { limit + 1 } else { 5_000 };
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let mut page = listing::page(cx.tx, after, only, rows).await?;
        page.retain(|skill| skill.resolved.slug.starts_with(&self.prefix));
        let has_more = page.len() > limit;
        page.truncate(limit);
        let skills: Vec<ClawhubSkill> = page
            .into_iter()
            .map(|skill| ClawhubSkill {
                slug: skill.resolved.slug,
                name: skill.name,
                description: skill.description,
                version: skill.resolved.version,
                created_at: None,
                updated_at: skill.updated_at,
            })
            .collect();
        let next = skills.last().filter(|_| has_more).map(|last| last.slug.clone());
        Ok(Fetched {
            count: Some(skills.len()),
            ..fetched((skills, next))
        })
    }
}

/// One skill.
#[derive(Debug, Clone)]
pub struct ClawhubShow {
    pub skill: String,
}

impl Fetch for ClawhubShow {
    const NAME: &'static str = "clawhub/skill";
    const REQUIRED_PERMISSION: ToolName = ToolName::GetSkill;
    const LOADS_SKILL: bool = false;
    type Output = ClawhubSkill;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        vec![("skill", &self.skill)]
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Fetched<ClawhubSkill>, ToolError> {
        let found = find(cx, &self.skill, None).await?;
        let subject = found.subject();
        let details = skills::details(cx.tx, &found.slug, None, Viewer::PUBLISHED).await?;
        let details = details.ok_or_else(|| unknown(found.slug))?;
        let skill = ClawhubSkill {
            slug: details.resolved.slug,
            name: details.metadata.name,
            description: details.metadata.description,
            version: details.resolved.version,
            created_at: Some(details.created_at),
            updated_at: details.version_created_at,
        };
        Ok(Fetched {
            subject,
            ..fetched(skill)
        })
    }
}

fn unknown(slug: String) -> ToolError {
    let near = Vec::new();
    Refusal::UnknownSkill { slug, near }.into()
}

/// A version in a history.
#[derive(Debug, Clone)]
pub struct ClawhubVersion {
    pub version: String,
    pub created_at: Timestamp,
    pub note: String,
}

/// The versions of a skill, or one of them.
#[derive(Debug, Clone)]
pub struct ClawhubVersions {
    pub skill: String,
    /// `None` for all.
    pub version: Option<String>,
}

impl Fetch for ClawhubVersions {
    const NAME: &'static str = "clawhub/versions";
    const REQUIRED_PERMISSION: ToolName = ToolName::GetSkill;
    const LOADS_SKILL: bool = false;
    /// The slug, and at most 100 versions, newest first.
    type Output = (String, Vec<ClawhubVersion>);

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        let version = self.version.as_deref().map(|version| ("version", version));
        std::iter::once(("skill", self.skill.as_str()))
            .chain(version)
            .collect()
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Fetched<Self::Output>, ToolError> {
        let found = find(cx, &self.skill, self.version.as_deref()).await?;
        let subject = found.subject();
        let history = versions::list(cx.tx, &found.slug, MAX_VERSIONS, Viewer::PUBLISHED).await?;
        let listed = history
            .into_iter()
            .filter(|version| !version.is_yanked())
            .filter(|version| self.version.is_none() || version.version == found.version)
            .map(|version| ClawhubVersion {
                version: version.version,
                created_at: version.created_at,
                note: version.change_note,
            })
            .collect();
        Ok(Fetched {
            subject,
            ..fetched((found.slug, listed))
        })
    }
}

/// Which version has files with this fingerprint.
#[derive(Debug, Clone)]
pub struct ClawhubResolve {
    pub skill: String,
    /// 64 hexadecimal digits.
    pub fingerprint: String,
}

/// The version with these files, and the latest one.
#[derive(Debug)]
pub struct ClawhubResolved {
    pub matching: Option<String>,
    pub latest: String,
}

impl Fetch for ClawhubResolve {
    const NAME: &'static str = "clawhub/resolve";
    const REQUIRED_PERMISSION: ToolName = ToolName::GetSkill;
    const LOADS_SKILL: bool = false;
    type Output = ClawhubResolved;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        vec![("skill", &self.skill), ("hash", &self.fingerprint)]
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Fetched<ClawhubResolved>, ToolError> {
        let found = find(cx, &self.skill, None).await?;
        let subject = found.subject();
        let mut states = versions::states(cx.tx, &[found.skill]).await?;
        // Newest first: of equal versions, the newest counts.
        states.reverse();
        states.retain(|row| row.state == VersionState::Published && !row.quarantined);
        states.truncate(usize::try_from(MAX_VERSIONS).unwrap_or(usize::MAX));
        let ids: Vec<VersionId> = states.iter().map(|row| row.id).collect();
        let manifests = listing::manifests(cx.tx, &ids).await?;
        let has_files = |id: &VersionId| {
            let files = manifests.get(id).map(Vec::as_slice).unwrap_or_default();
            fingerprint(files).is_some_and(|print| print == self.fingerprint)
        };
        let matching = states.into_iter().find(|row| has_files(&row.id));
        let resolved = ClawhubResolved {
            matching: matching.map(|row| row.version),
            latest: found.version,
        };
        Ok(Fetched {
            subject,
            ..fetched(resolved)
        })
    }
}

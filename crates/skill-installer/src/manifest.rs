//! The manifest of a project: which skills its people want.

use std::str::FromStr;

use agent_skills::{Slug, VersionReq};
use serde::Serialize;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use crate::error::Error;
use crate::folder_name::FolderName;
use crate::release::check_registry;
use crate::toml_text::Source;

/// Name of the manifest of a project.
pub const MANIFEST_FILE: &str = "skillkeep.toml";
const MAX_ASSISTANTS: usize = 256;

/// A manifest. Changes keep comments, order and white space of the text that was read.
///
/// ```
/// use skill_installer::Manifest;
///
/// let text = "[registry]\nurl = \"https://skills.example.com\"\n\n[skills]\npdf = \"^1.2\" # for reports\n";
/// let manifest = Manifest::parse(text).unwrap();
/// assert_eq!(manifest.skills()[0].version.as_str(), "^1.2");
/// assert_eq!(manifest.to_text(), text);
/// ```
#[derive(Debug, Clone)]
pub struct Manifest {
    document: DocumentMut,
    registry: Option<String>,
    skills: Vec<WantedSkill>,
    assistants: Vec<String>,
}

/// A skill that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WantedSkill {
    /// The skill's slug in the registry.
    pub name: Slug,
    pub version: VersionReq,
    /// If it is not the one of the manifest.
    pub registry: Option<String>,
    /// The name of the skill's folder, if it is not the slug.
    pub folder: Option<FolderName>,
    /// Whether updates pass it over.
    pub pinned: bool,
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            document: DocumentMut::new(),
            registry: None,
            skills: Vec::new(),
            assistants: Vec::new(),
        }
    }
}

impl Manifest {
    /// Reads the text of a manifest.
    ///
    /// # Errors
    /// [`Error::BadFile`] with the line, also for unknown keys and for conflict markers.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (source, document) = Source::parse(MANIFEST_FILE, text)?;
        let table = document.as_table();
        source.check_keys(table, &["registry", "skills", "targets"])?;
        let mut manifest = Self::default();
        if let Some(item) = table.get("registry") {
            let registry = source.table(item, "registry")?;
            source.check_keys(registry, &["url"])?;
            manifest.registry = source.value(registry, "url", |text| {
                check_registry(text).map(|()| text.to_owned())
            })?;
        }
        if let Some(item) = table.get("skills") {
            for (name, item) in source.table(item, "skills")?.iter() {
                manifest.skills.push(read_skill(&source, name, item)?);
            }
        }
        if let Some(item) = table.get("targets") {
            let targets = source.table(item, "targets")?;
            source.check_keys(targets, &["assistants"])?;
            if let Some(item) = targets.get("assistants") {
                manifest.assistants = read_assistants(&source, item)?;
            }
        }
        manifest.document = document.into_mut();
        Ok(manifest)
    }

    /// The address of the registry for skills that name none.
    #[must_use]
    pub fn registry(&self) -> Option<&str> {
        self.registry.as_deref()
    }

    /// The skills, in the order of the file.
    #[must_use]
    pub fn skills(&self) -> &[WantedSkill] {
        &self.skills
    }

    /// The ids of the assistants to install for, in the order of the file.
    #[must_use]
    pub fn assistants(&self) -> &[String] {
        &self.assistants
    }

    /// Sets the address of the registry.
    pub fn set_registry(&mut self, url: &str) {
        set(self.section("registry"), "url", Value::from(url));
        self.registry = Some(url.to_owned());
    }

    /// Sets the assistants to install for.
    pub fn set_assistants(&mut self, ids: &[&str]) {
        let list: Array = ids.iter().copied().collect();
        set(self.section("targets"), "assistants", Value::Array(list));
        self.assistants = ids.iter().map(|id| (*id).to_owned()).collect();
    }

    /// Adds a skill at the end, or changes the one of the same name where it is.
    pub fn set_skill(&mut self, skill: WantedSkill) {
        let version = Value::from(skill.version.as_str());
        let is_simple = skill.registry.is_none() && skill.folder.is_none() && !skill.pinned;
        let value = if is_simple {
            version
        } else {
            let mut table = InlineTable::new();
            table.insert("version", version);
            if let Some(registry) = &skill.registry {
                table.insert("registry", registry.as_str().into());
            }
            if let Some(folder) = &skill.folder {
                table.insert("folder", folder.as_str().into());
            }
            if skill.pinned {
                table.insert("pinned", true.into());
            }
            Value::InlineTable(table)
        };
        set(self.section("skills"), skill.name.as_str(), value);
        match self.skills.iter_mut().find(|known| known.name == skill.name) {
            Some(known) => *known = skill,
            None => self.skills.push(skill),
        }
    }

    /// Removes a skill. Returns whether it was there.
    pub fn remove_skill(&mut self, name: &Slug) -> bool {
        let count = self.skills.len();
        self.skills.retain(|skill| skill.name != *name);
        if let Some(skills) = self.document.get_mut("skills").and_then(Item::as_table_like_mut) {
            skills.remove(name.as_str());
        }
        self.skills.len() < count
    }

    /// The text of the file.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.document.to_string()
    }

    fn section(&mut self, name: &str) -> &mut Item {
        let is_first = self.document.as_table().is_empty();
        self.document.entry(name).or_insert_with(|| {
            let mut table = Table::new();
            if !is_first {
                table.decor_mut().set_prefix("\n");
            }
            Item::Table(table)
        })
    }
}

/// Sets a value, and keeps the comment behind it. A section that is no table was refused when the text was read.
fn set(section: &mut Item, key: &str, mut value: Value) {
    let Some(table) = section.as_table_like_mut() else {
        return;
    };
    match table.get_mut(key) {
        Some(Item::Value(existing)) => {
            *value.decor_mut() = existing.decor().clone();
            *existing = value;
        }
        Some(item) => *item = Item::Value(value),
        None => {
            table.insert(key, Item::Value(value));
        }
    }
}

fn read_skill(source: &Source<'_>, name: &str, item: &Item) -> Result<WantedSkill, Error> {
    let slug = name
        .parse::<Slug>()
        .map_err(|error| source.error(item.span(), format!("{name:?}: {error}")))?;
    if let Some(text) = item.as_str() {
        let version =
            VersionReq::from_str(text).map_err(|error| source.error(item.span(), error.to_string()))?;
        return Ok(WantedSkill {
            name: slug,
            version,
            registry: None,
            folder: None,
            pinned: false,
        });
    }
    let table: &dyn TableLike = item.as_table_like().ok_or_else(|| {
        source.error(
            item.span(),
            format!(
                "write {name} = \"^1.2\", or a table such as {name} = {{ version = \"^1.2\", pinned = true }}"
            ),
        )
    })?;
    source.check_keys(table, &["version", "registry", "folder", "pinned"])?;
    Ok(WantedSkill {
        name: slug,
        version: source
            .value(table, "version", VersionReq::from_str)?
            .unwrap_or_else(VersionReq::latest),
        registry: source.value(table, "registry", |text| {
            check_registry(text).map(|()| text.to_owned())
        })?,
        folder: source.value(table, "folder", FolderName::from_str)?,
        pinned: source.flag(table, "pinned")?.unwrap_or(false),
    })
}

fn read_assistants(source: &Source<'_>, item: &Item) -> Result<Vec<String>, Error> {
    let wrong = || {
        source.error(
            item.span(),
            "assistants must be a list of names, such as [\"claude-code\"]",
        )
    };
    let list = item.as_array().ok_or_else(wrong)?;
    if list.len() > MAX_ASSISTANTS {
        return Err(wrong());
    }
    list.iter()
        .map(|value| {
            let id = value.as_str().and_then(|id| id.parse::<Slug>().ok());
            id.map(|id| id.to_string()).ok_or_else(wrong)
        })
        .collect()
}

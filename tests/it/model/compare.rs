//! Compares the model with every table of the database.

use std::collections::{BTreeMap, BTreeSet};

use super::skill::{Skill, Version};
use super::state::{Tenant, USERS};
use crate::helpers::table_checksums;

/// One row for each skill, with its versions, former slugs and ratings as text.
const SKILLS: &str = "
SELECT s.slug, s.status, coalesce(o.email, '-') AS owner, coalesce(l.version, '-') AS latest, s.description,
       CASE WHEN s.deprecated_at IS NULL THEN 'no' ELSE coalesce(c.slug, '-') END AS deprecated,
       coalesce(f.slug || ' ' || s.origin_version, '-') AS origin,
       (SELECT string_agg(concat_ws(' ', v.version, v.status, v.quarantined, v.published_at IS NOT NULL, coalesce(a.email, '-'),
            (SELECT count(*) FROM skill_reviews r WHERE r.tenant_id = $1 AND r.version_id = v.id)), ', ' ORDER BY v.ordinal)
        FROM skill_versions v LEFT JOIN users a ON a.tenant_id = $1 AND a.id = v.created_by
        WHERE v.tenant_id = $1 AND v.skill_id = s.id) AS versions,
       (SELECT coalesce(string_agg(a.slug, ' ' ORDER BY a.slug COLLATE \"C\"), '') FROM skill_aliases a
        WHERE a.tenant_id = $1 AND a.skill_id = s.id) AS former,
       (SELECT coalesce(string_agg(concat_ws(' ', u.email, r.stars, r.withdrawn_at IS NULL), ', ' ORDER BY u.email), '')
        FROM ratings r JOIN users u ON u.tenant_id = $1 AND u.id = r.user_id
        WHERE r.tenant_id = $1 AND r.skill_id = s.id) AS ratings,
       (SELECT concat_ws(' ', count(*), count(*) FILTER (WHERE i.state = 'confirmed')) FROM installs i
        WHERE i.tenant_id = $1 AND i.skill_id = s.id) AS installs,
       (SELECT concat_ws(' ', count(*) FILTER (WHERE r.outcome = 'helped'), count(*) FILTER (WHERE r.outcome = 'failed'),
            count(*) FILTER (WHERE r.outcome = 'stale')) FROM skill_feedback r
        WHERE r.tenant_id = $1 AND r.skill_id = s.id) AS feedback
FROM skills s
LEFT JOIN users o ON o.tenant_id = $1 AND o.id = s.owner_id
LEFT JOIN skill_versions l ON l.tenant_id = $1 AND l.id = s.latest_version_id
LEFT JOIN skills c ON c.tenant_id = $1 AND c.id = s.successor_id
LEFT JOIN skills f ON f.tenant_id = $1 AND f.id = s.origin_skill_id
WHERE s.tenant_id = $1
ORDER BY s.slug COLLATE \"C\"";

const COLUMNS: usize = 12;

fn email(user: Option<usize>) -> String {
    user.map_or("-", |user| USERS[user]).to_owned()
}

/// As PostgreSQL writes it in `concat_ws`.
fn flag(value: bool) -> &'static str {
    if value { "t" } else { "f" }
}

fn version_line(version: &Version) -> String {
    format!(
        "{} {} {} {} {} {}",
        version.label,
        version.state,
        flag(version.is_quarantined),
        flag(version.was_published),
        email(version.author),
        version.reviews
    )
}

fn joined<T>(items: impl IntoIterator<Item = T>, line: impl Fn(T) -> String) -> String {
    items.into_iter().map(line).collect::<Vec<_>>().join(", ")
}

impl Tenant {
    fn row(&self, skill: &Skill) -> [String; COLUMNS] {
        let slug_of = |key: &String| self.skills[key].slug.clone();
        let deprecated = match &skill.deprecated {
            None => "no".to_owned(),
            Some(successor) => successor.as_ref().map_or("-".to_owned(), slug_of),
        };
        let origin = skill.origin.as_ref();
        let former: Vec<&str> = skill.former_slugs.iter().map(String::as_str).collect();
        [
            skill.slug.clone(),
            if skill.is_archived { "archived" } else { "active" }.to_owned(),
            email(skill.owner),
            skill
                .latest()
                .map_or("-".to_owned(), |latest| latest.label.clone()),
            skill.shown.clone(),
            deprecated,
            origin.map_or("-".to_owned(), |(key, label)| format!("{} {label}", slug_of(key))),
            joined(&skill.versions, version_line),
            former.join(" "),
            joined(&skill.ratings, |(user, (stars, counts))| {
                format!("{} {stars} {}", USERS[*user], flag(*counts))
            }),
            format!("{} {}", skill.offered, skill.confirmed),
            format!("{} {} {}", skill.helped, skill.failed, skill.stale),
        ]
    }

    /// Compares every table with the model.
    pub(super) async fn compare(&mut self) {
        self.counts.compared += 1;
        self.compare_skills().await;
        self.compare_row_counts().await;
        for (query, expected) in [
            (
                "SELECT outcome, count(*) FROM usage_events WHERE tenant_id = $1 GROUP BY outcome",
                self.events.clone(),
            ),
            (
                "SELECT action, count(*) FROM audit_logs WHERE tenant_id = $1 AND action ~ '^(skill|scan)[.]' GROUP BY action",
                self.audited
                    .iter()
                    .map(|(action, count)| ((*action).to_owned(), *count))
                    .collect(),
            ),
        ] {
            let rows = self.superuser.query(query, &[self.id.as_uuid()]).await.unwrap();
            let found: BTreeMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            assert_eq!(found, expected, "{}", self.slug);
        }
        // No usage event refers to another tenant's row.
        let crossed: i64 = self
            .superuser
            .query_one(
                "SELECT count(*) FROM usage_events e WHERE e.tenant_id = $1 AND (
                     (e.skill_id IS NOT NULL AND NOT EXISTS (SELECT FROM skills s WHERE s.tenant_id = $1 AND s.id = e.skill_id))
                     OR NOT EXISTS (SELECT FROM api_keys k WHERE k.tenant_id = $1 AND k.id = e.api_key_id))",
                &[self.id.as_uuid()],
            )
            .await
            .unwrap()
            .get(0);
        assert_eq!(crossed, 0, "{}", self.slug);
    }

    async fn compare_skills(&self) {
        let rows = self.superuser.query(SKILLS, &[self.id.as_uuid()]).await.unwrap();
        let found: Vec<[String; COLUMNS]> = rows
            .iter()
            .map(|row| std::array::from_fn(|column| row.get(column)))
            .collect();
        let mut expected: Vec<[String; COLUMNS]> =
            self.skills.values().map(|skill| self.row(skill)).collect();
        expected.sort();
        assert_eq!(found.len(), expected.len(), "{}: {found:#?}", self.slug);
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{}", self.slug);
        }
    }

    /// Fails for a table that the model does not cover.
    async fn compare_row_counts(&self) {
        for (table, (rows, _)) in table_checksums(&self.fixtures.db, self.id).await {
            let expected = self.expected_rows(&table);
            assert!(
                expected.is_none_or(|expected| expected == rows),
                "{}: {table} has {rows} rows instead of {expected:?}",
                self.slug
            );
        }
    }

    fn expected_rows(&self, table: &str) -> Option<i64> {
        let versions = || self.skills.values().flat_map(|skill| &skill.versions);
        let texts: BTreeSet<&String> = versions().map(|version| &version.skill_md).collect();
        let sum = |of: fn(&Skill) -> i64| Some(self.skills.values().map(of).sum());
        let count = |count: usize| Some(i64::try_from(count).unwrap());
        match table {
            "tenants" => Some(1),
            "users" => count(USERS.len()),
            "api_keys" => Some(self.keys_made),
            "tenant_settings" => count(
                usize::from(self.review_required)
                    + usize::from(self.assistants_count)
                    + usize::from(self.publishers < USERS.len()),
            ),
            "skills" => count(self.skills.len()),
            // Each version has one file. Equal files are stored once.
            "skill_versions" | "skill_files" => count(versions().count()),
            "blobs" | "skill_scans" => count(texts.len()),
            "scan_overrides" => count(self.overridden.len()),
            "skill_reviews" => Some(versions().map(|version| version.reviews).sum()),
            "skill_aliases" => sum(|skill| i64::try_from(skill.former_slugs.len()).unwrap()),
            "ratings" => sum(|skill| i64::try_from(skill.ratings.len()).unwrap()),
            "installs" => sum(|skill| skill.offered),
            "skill_feedback" => sum(|skill| skill.helped + skill.failed + skill.stale),
            "usage_events" => Some(self.events.values().sum()),
            "skill_embeddings" | "signing_keys" | "version_signatures" | "denied_digests"
            | "distributions" | "user_groups" | "user_group_members" | "archive_digests"
            | "plugin_digests" | "secret_paths" => Some(0),
            // Denials are counted and written later; the other entries are compared by action.
            "audit_logs" => None,
            // Derived from the skills; merged at any time.
            "search_segments" | "search_blocks" => None,
            // Derived from the usage events of past days.
            "usage_days" => Some(0),
            table => panic!("the model does not cover the table {table}"),
        }
    }
}

//! Parameters for each query of `sql/queries` that name rows of another tenant.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::TwoTenants;

pub(super) type Values = Vec<Box<dyn ToSql + Sync>>;

/// The ids of the other tenant, as an attacker would use them who knows all of them.
pub(super) struct OtherTenantIds {
    skill: Uuid,
    version: Uuid,
    user: Uuid,
    key: Uuid,
    key_hash: Vec<u8>,
    install: Uuid,
    digest: Vec<u8>,
    installed_version: Uuid,
    segment: Uuid,
    /// The format of the index segments.
    format: i16,
}

/// Rows of the other tenant in the tables that the fixture's tool calls leave empty.
async fn insert_lifecycle_rows(two: &TwoTenants) {
    let tenant = two.other_tenant;
    two.db
        .superuser()
        .await
        .batch_execute(&format!(
            "UPDATE skills SET owner_id = (SELECT user_id FROM installs WHERE tenant_id = '{tenant}'), source_name = 'theirs'
                 WHERE tenant_id = '{tenant}';
             INSERT INTO skill_aliases (tenant_id, slug, skill_id)
                 SELECT tenant_id, 'formerly-theirs', id FROM skills WHERE tenant_id = '{tenant}' AND slug = 'shared'
                 ON CONFLICT DO NOTHING;
             INSERT INTO scan_overrides (tenant_id, digest, reason)
                 SELECT tenant_id, digest, 'theirs' FROM skill_scans WHERE tenant_id = '{tenant}' ON CONFLICT DO NOTHING;
             INSERT INTO skill_reviews (tenant_id, id, version_id, reviewer_id, verdict)
                 SELECT tenant_id, id, version_id, user_id, 'approved' FROM installs WHERE tenant_id = '{tenant}'
                 ON CONFLICT DO NOTHING;
             INSERT INTO ratings (tenant_id, id, skill_id, user_id, stars, comment)
                 SELECT tenant_id, id, skill_id, user_id, 5, 'theirs' FROM installs WHERE tenant_id = '{tenant}'
                 ON CONFLICT DO NOTHING;
             INSERT INTO secret_paths (tenant_id, id, api_key_id, name, secret_hash, created_by, expires_at)
                 SELECT tenant_id, id, api_key_id, 'theirs', decode(repeat('ab', 32), 'hex'), 'root', now() + interval '1 day'
                 FROM installs WHERE tenant_id = '{tenant}' ON CONFLICT DO NOTHING;
             INSERT INTO archive_digests (tenant_id, version_id, digest)
                 SELECT tenant_id, id, digest FROM skill_versions WHERE tenant_id = '{tenant}' ON CONFLICT DO NOTHING;
             INSERT INTO plugin_digests (tenant_id, version_id, slug, digest)
                 SELECT tenant_id, id, 'theirs', digest FROM skill_versions WHERE tenant_id = '{tenant}' ON CONFLICT DO NOTHING;
             INSERT INTO skill_embeddings (tenant_id, version_id, model, dimensions, vector, input_hash, revision)
                 SELECT tenant_id, id, 'theirs', 1, '\\x0000803f7f', sha256('theirs'), 1 FROM skill_versions
                 WHERE tenant_id = '{tenant}' ON CONFLICT DO NOTHING;
             INSERT INTO signing_keys (tenant_id, id, public_key, created_by)
                 VALUES ('{tenant}', left(encode(sha256(sha256('theirs')), 'hex'), 16), sha256('theirs'), 'theirs')
                 ON CONFLICT DO NOTHING;
             INSERT INTO version_signatures (tenant_id, version_id, slug, key_id, signature)
                 SELECT v.tenant_id, v.id, s.slug, left(encode(sha256(sha256('theirs')), 'hex'), 16),
                        sha256('theirs') || sha256('theirs')
                 FROM skill_versions v JOIN skills s ON s.id = v.skill_id
                 WHERE s.tenant_id = '{tenant}' AND s.slug = 'shared'
                 ON CONFLICT DO NOTHING;
             INSERT INTO skills (tenant_id, id, slug, name, description, conformant, revision)
                 VALUES ('{tenant}', gen_random_uuid(), 'denied-theirs', 'denied', 'Denied.', true, 1) ON CONFLICT DO NOTHING;
             INSERT INTO skill_versions (tenant_id, id, skill_id, ordinal, version, digest, front_matter, file_count, total_bytes,
                     quarantined)
                 SELECT tenant_id, gen_random_uuid(), id, 1, '1', sha256('denied'), '{{}}', 1, 5, true
                 FROM skills WHERE tenant_id = '{tenant}' AND slug = 'denied-theirs' ON CONFLICT DO NOTHING;
             INSERT INTO denied_digests (tenant_id, digest, reason, created_by)
                 VALUES ('{tenant}', sha256('denied'), 'theirs', 'theirs') ON CONFLICT DO NOTHING;
             INSERT INTO usage_days (tenant_id, day, tools, outcomes, tool_calls, durations, duration_calls, pair_users, pair_skills,
                     pair_calls, empty_queries, empty_filters, empty_weak, empty_searches, lost_queries, lost_users, lost_searches)
                 VALUES ('{tenant}', current_date, '{{theirs}}', '{{ok}}', '{{1}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}',
                     '{{}}', '{{}}', '{{}}', '{{}}', '{{}}') ON CONFLICT DO NOTHING;
             UPDATE installs SET machine = 'theirs', machine_named = true, state = 'confirmed' WHERE tenant_id = '{tenant}';
             INSERT INTO usage_events (tenant_id, id, api_key_id, user_id, tool, outcome, duration_us, transport, arguments,
                     result_count, created_at)
                 SELECT tenant_id, id, api_key_id, user_id, 'search_skills', 'ok', 1, 'http',
                     '{{\"sizes\": {{}}, \"search_text\": \"theirs\"}}', 1, now() - interval '1 day'
                 FROM installs WHERE tenant_id = '{tenant}' ON CONFLICT DO NOTHING;
             INSERT INTO user_groups (tenant_id, id, name)
                 SELECT tenant_id, id, 'theirs' FROM installs WHERE tenant_id = '{tenant}' ON CONFLICT DO NOTHING;
             INSERT INTO user_group_members (tenant_id, group_id, user_id)
                 SELECT tenant_id, id, user_id FROM installs WHERE tenant_id = '{tenant}' ON CONFLICT DO NOTHING;
             INSERT INTO distributions (tenant_id, id, skill_id, group_id, created_by)
                 SELECT tenant_id, gen_random_uuid(), skill_id, id, 'theirs' FROM installs WHERE tenant_id = '{tenant}'
                 ON CONFLICT DO NOTHING;
             INSERT INTO tenant_settings (tenant_id, key, value) VALUES ('{tenant}', 'review.policy', '\"required\"')
                 ON CONFLICT DO NOTHING;
             INSERT INTO installs (tenant_id, id, skill_id, version_id, user_id, api_key_id, assistant, target, state)
                 SELECT i.tenant_id, gen_random_uuid(), v.skill_id, v.id, i.user_id, i.api_key_id, 'codex', 'together', 'confirmed'
                 FROM installs i JOIN skill_versions v ON v.tenant_id = i.tenant_id
                 WHERE i.tenant_id = '{tenant}'
                   AND NOT EXISTS (SELECT FROM installs t WHERE t.tenant_id = '{tenant}' AND t.target = 'together');"
        ))
        .await
        .unwrap();
}

fn denied_digest() -> Vec<u8> {
    skillkeep::ids::Digest::of(b"denied").as_bytes().to_vec()
}

impl OtherTenantIds {
    pub(super) async fn of(two: &TwoTenants) -> Self {
        insert_lifecycle_rows(two).await;
        let row = two
            .db
            .superuser()
            .await
            .query_one(
                "SELECT s.id, s.latest_version_id, i.user_id, i.api_key_id, k.key_hash, i.id, v.digest, v.id,
                        (SELECT b.segment_id FROM search_blocks b WHERE b.tenant_id = i.tenant_id LIMIT 1),
                        (SELECT g.format FROM search_segments g WHERE g.tenant_id = i.tenant_id LIMIT 1)
                 FROM installs i
                 JOIN skills s ON s.id = i.skill_id JOIN api_keys k ON k.id = i.api_key_id
                 JOIN skill_versions v ON v.id = i.version_id
                 WHERE i.tenant_id = $1 AND i.target <> 'together'",
                &[two.other_tenant.as_uuid()],
            )
            .await
            .unwrap();
        Self {
            skill: row.get(0),
            version: row.get(1),
            user: row.get(2),
            key: row.get(3),
            key_hash: row.get(4),
            install: row.get(5),
            digest: row.get(6),
            installed_version: row.get(7),
            segment: row.get(8),
            format: row.get(9),
        }
    }

    /// The parameters of a query after `$1`, the tenant. A new query needs a line here.
    pub(super) fn values(&self, query: &str) -> Values {
        let (from, until) = (Uuid::nil(), Uuid::max());
        match query {
            "audit/chain" => vec![Box::new(0_i64), Box::new(1_000_i64)],
            "audit/tail" | "usage/recent" => vec![Box::new(1_000_i64)],
            "installs/find" => vec![Box::new(self.install), Box::new(self.user)],
            "installs/check" => vec![
                Box::new(vec!["only-theirs"]),
                Box::new(vec![None::<String>]),
                Box::new(vec![None::<Vec<u8>>]),
                Box::new(None::<Vec<String>>),
            ],
            "versions/pieces" => vec![
                Box::new(self.version),
                Box::new(vec!["SKILL.md"]),
                Box::new(vec![0_i64]),
                Box::new(vec![100_i64]),
            ],
            "installs/set_state" => vec![
                Box::new(self.install),
                Box::new("confirmed"),
                Box::new(vec![0_u8; 32]),
            ],
            "api_keys/authenticate" | "api_keys/inspect" | "api_keys/rejection_reason" => {
                vec![Box::new(self.key_hash.clone())]
            }
            "secret_paths/authenticate" | "secret_paths/rejection_reason" => {
                vec![Box::new(vec![0xab_u8; 32])]
            }
            "secret_paths/list" => vec![],
            // A row of its own for the path has the id of the install.
            "secret_paths/revoke" => vec![Box::new(self.install)],
            "archives/digests" | "archives/plugin_digests" => vec![Box::new(vec![self.version])],
            "api_keys/get_for_update" | "api_keys/revoke" => vec![Box::new(self.key)],
            "api_keys/set_limits" => vec![Box::new(self.key), Box::new(1_i32), Box::new(1_i64)],
            "usage/count_minute" => vec![Box::new(self.key), Box::new(from)],
            "usage/count_month" => vec![
                Box::new(self.key),
                Box::new(from),
                Box::new(from),
                Box::new(from),
                Box::new(until),
            ],
            "api_keys/replace" => vec![Box::new(self.key), Box::new(self.key), Box::new(0_f64)],
            "api_keys/list" | "users/list" => vec![],
            "search/list_segments" | "search/all" | "search/status" => vec![Box::new(self.format)],
            "embeddings/changed" => vec![Box::new(-1_i64), Box::new(-1_i64), Box::new("theirs")],
            "embeddings/pending" => vec![
                Box::new(-1_i64),
                Box::new("theirs"),
                Box::new(false),
                Box::new(1_000_i64),
            ],
            "embeddings/delete" => vec![Box::new("theirs"), Box::new(vec![self.version])],
            "embeddings/delete_outdated" => vec![Box::new("mine")],
            "embeddings/status" => vec![Box::new("theirs")],
            "search/documents"
            | "search/vocabularies"
            | "search/take_blocks"
            | "search/take_segments"
            | "search/heads"
            | "search/remove_segments" => vec![Box::new(vec![self.segment])],
            "search/following_blocks" => {
                vec![Box::new(self.segment), Box::new(0_i32), Box::new(1_000_i32)]
            }
            "search/blocks" => vec![Box::new(vec![self.segment]), Box::new(vec![0_i32])],
            "search/clear_blocks" | "search/clear_segments" | "search/try_lock" => vec![],
            "search/insert_segment" => vec![
                Box::new(Uuid::now_v7()),
                Box::new(self.format),
                Box::new(1_i64),
                Box::new(0_i32),
                Box::new(Vec::<u8>::new()),
                Box::new(Vec::<u8>::new()),
                Box::new(Vec::<u8>::new()),
                Box::new(Vec::<u8>::new()),
            ],
            "search/insert_blocks" => vec![
                Box::new(self.segment),
                Box::new(vec![vec![0_u8]]),
                Box::new(1_000_i32),
            ],
            "skills/changed_slugs" => vec![Box::new(-1_i64), Box::new(1_000_i64)],
            "skills/page" => vec![
                Box::new(String::new()),
                Box::new(None::<Vec<String>>),
                Box::new(1_000_i64),
            ],
            "versions/manifests" => vec![Box::new(vec![self.version])],
            "skills/by_ids" => vec![Box::new(vec![self.skill])],
            "skills/changed_since" => vec![Box::new(-1_i64), Box::new(1_000_i64)],
            "skills/details" | "skills/find" | "skills/get_version" | "versions/files" => vec![
                Box::new("only-theirs"),
                Box::new(None::<String>),
                Box::new(self.user),
                Box::new(true),
            ],
            "skills/find_existing" => vec![
                Box::new("only-theirs"),
                Box::new("theirs"),
                Box::new("theirs"),
                Box::new("only-theirs"),
            ],
            "skills/list_taken_slugs" => vec![Box::new(vec!["only-theirs", "theirs"])],
            "skills/overview" => vec![Box::new(String::new()), Box::new(true), Box::new(100_i64)],
            "skills/managed" => vec![Box::new("only-theirs")],
            "skills/mine" => vec![Box::new(self.user), Box::new(String::new()), Box::new(100_i64)],
            "skills/statuses" => vec![Box::new(vec!["only-theirs"])],
            "skills/of_source" => vec![Box::new("theirs")],
            "skills/set_source" => vec![Box::new(self.skill), Box::new("stolen"), Box::new("stolen")],
            "skills/set_status" => vec![Box::new(self.skill), Box::new("archived"), Box::new(99_i64)],
            "skills/set_slug" => vec![Box::new(self.skill), Box::new("stolen"), Box::new(99_i64)],
            "skills/set_owner" => vec![Box::new(self.skill), Box::new(self.user), Box::new(99_i64)],
            "skills/set_deprecation" => vec![
                Box::new(self.skill),
                Box::new("stolen"),
                Box::new(None::<Uuid>),
                Box::new(99_i64),
            ],
            "skills/clear_latest" => vec![Box::new(self.skill), Box::new(99_i64)],
            "aliases/delete" => vec![Box::new("formerly-theirs"), Box::new(self.skill)],
            "settings/list" => vec![],
            "settings/reset" => vec![Box::new("review.policy")],
            "scans/find" | "scans/is_overridden" => vec![Box::new(self.digest.clone())],
            "reviews/of_version" => vec![Box::new(self.installed_version), Box::new(10_i64)],
            "ratings/recent" => vec![Box::new(self.skill), Box::new(10_i64)],
            "ratings/withdraw" | "ratings/summary" => vec![Box::new(self.skill), Box::new(self.user)],
            "users/find_active" => vec![Box::new("ada@example.com")],
            "denied/list" | "distributions/list" | "groups/list" | "installs/forget_machines" => vec![],
            "denied/delete" | "denied/of_manifest" | "denied/versions" => vec![Box::new(denied_digest())],
            "denied/matching" => vec![Box::new(vec![denied_digest()])],
            "denied/requested" => vec![Box::new("denied-theirs"), Box::new(None::<String>)],
            "distributions/for_user" => vec![Box::new(self.user)],
            // The id of their group is that of their install.
            "distributions/delete" => vec![Box::new(self.skill), Box::new(self.install)],
            "groups/find" => vec![Box::new("theirs")],
            "groups/remove_member" => vec![Box::new(self.install), Box::new(self.user)],
            "installs/skills_of_user" => vec![Box::new(self.user)],
            "installs/together" => vec![Box::new(vec![self.skill]), Box::new(0_i64), Box::new(100_i64)],
            "ratings/at_least" => vec![Box::new(1_i32)],
            "search/clear_old" => vec![Box::new(i16::MAX)],
            "installs/affected" => vec![Box::new(self.installed_version)],
            "installs/current" => vec![
                Box::new(None::<String>),
                Box::new(None::<String>),
                Box::new(None::<String>),
                Box::new(100_i64),
            ],
            "installs/seen" => vec![
                Box::new(self.install),
                Box::new(self.user),
                Box::new(vec![0_u8; 32]),
                Box::new(false),
                Box::new("removed"),
            ],
            "signing_keys/list" | "signing_keys/newest_active" => vec![],
            "signing_keys/public" => vec![Box::new(10_i64)],
            "signing_keys/retire" => {
                // The id is a digest of the public key, which is a digest itself.
                let key = skillkeep::ids::Digest::of(b"theirs");
                let id = skillkeep::ids::Digest::of(key.as_bytes()).to_string();
                vec![Box::new(id["sha256:".len()..][..16].to_owned())]
            }
            "signatures/of_version" => vec![Box::new(self.version)],
            "signatures/of_skill" => vec![Box::new(self.skill), Box::new("shared")],
            "signatures/unsigned" => vec![Box::new(false), Box::new(100_i64), Box::new(from)],
            "versions/states" => vec![Box::new(vec![self.skill])],
            "versions/set_state" => vec![
                Box::new(self.version),
                Box::new("published"),
                Box::new("yanked"),
                Box::new("stolen"),
            ],
            "versions/set_quarantined" => vec![Box::new(self.digest.clone()), Box::new(true)],
            "versions/unscanned" => vec![Box::new("none"), Box::new(100_i64)],
            "versions/skill_md" => vec![Box::new(self.version)],
            "skills/set_latest" => vec![
                Box::new(self.skill),
                Box::new(self.version),
                Box::new("stolen"),
                Box::new("stolen"),
                Box::new(None::<String>),
                Box::new(Vec::<String>::new()),
                Box::new(None::<String>),
                Box::new(None::<String>),
                Box::new(true),
                Box::new(serde_json::json!([])),
                Box::new(99_i64),
            ],
            "usage/summarise" => vec![
                Box::new(from),
                Box::new(until),
                Box::new(vec![from, until]),
                Box::new(until),
            ],
            "usage/days" => vec![
                Box::new(jiff::civil::date(2000, 1, 1)),
                Box::new(jiff::civil::date(2200, 1, 1)),
            ],
            "usage/stored_days" => vec![Box::new(jiff::civil::date(2000, 1, 1))],
            "usage/emails" => vec![Box::new(vec![self.user])],
            "usage/slugs" => vec![Box::new(vec![self.skill])],
            // The period is empty, so that it has no report on the installed skill.
            "usage/installed_unused" => vec![Box::new(until), Box::new(until), Box::new(1_000_i64)],
            "usage/of_skills" => vec![Box::new(vec![self.skill])],
            "usage/feedback_by_skill" | "usage/installs_by_skill" => {
                vec![Box::new(from), Box::new(until)]
            }
            "usage/find_feedback" => vec![Box::new(self.user), Box::new("taken")],
            "users/set_status" => vec![Box::new("bob@example.com"), Box::new("suspended")],
            "versions/contents" | "versions/manifest" => vec![Box::new(self.version)],
            "versions/file" => vec![
                Box::new("only-theirs"),
                Box::new(None::<String>),
                Box::new("SKILL.md"),
                Box::new(self.user),
                Box::new(true),
            ],
            "versions/list" => vec![
                Box::new("only-theirs"),
                Box::new(100_i64),
                Box::new(self.user),
                Box::new(true),
            ],
            other => panic!("add the parameters of {other} with values of the other tenant"),
        }
    }
}

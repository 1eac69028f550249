//! Foreign and unique keys are checked without policies, so their errors must reveal nothing. The attacks are generated from
//! pg_catalog, so a new key is attacked without further code.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use skillkeep::ids::{Digest, TenantId};
use tokio_postgres::Client;

use super::SqlAttacker;
use crate::harness::TestDb;

/// Inserts a row into every table for this tenant, with this word in each text.
async fn insert_rows(superuser: &Client, tenant: TenantId, word: &str) {
    let rows = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/sql/isolation_probe/seed.sql"
    ))
    .replace("probe", word);
    let plant = format!("BEGIN; SET LOCAL app.current_tenant_id = '{tenant}'; {rows}; COMMIT");
    superuser.batch_execute(&plant).await.unwrap();
}

/// A key of a table, without its first column, which is the tenant.
struct Key {
    name: String,
    table: String,
    columns: Vec<String>,
    /// The referenced table and columns of a foreign key.
    target: Option<(String, Vec<String>)>,
}

async fn keys(superuser: &Client) -> Vec<Key> {
    let rows = superuser
        .query(
            "WITH named AS (
                 SELECT c.oid, c.relname::text AS name FROM pg_class c
                 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
             ), columns AS (SELECT attrelid, attnum, attname::text AS name, atttypid FROM pg_attribute)
             SELECT con.conname::text, t.name,
                    ARRAY(SELECT a.name FROM unnest(con.conkey) WITH ORDINALITY k (num, place)
                          JOIN columns a ON a.attrelid = con.conrelid AND a.attnum = k.num WHERE k.place > 1 ORDER BY k.place),
                    f.name,
                    ARRAY(SELECT a.name FROM unnest(con.confkey) WITH ORDINALITY k (num, place)
                          JOIN columns a ON a.attrelid = con.confrelid AND a.attnum = k.num WHERE k.place > 1 ORDER BY k.place)
             FROM pg_constraint con JOIN named t ON t.oid = con.conrelid JOIN named f ON f.oid = con.confrelid
             WHERE con.contype = 'f' AND cardinality(con.conkey) > 1
             UNION ALL
             SELECT i.indexrelid::regclass::text, t.name,
                    ARRAY(SELECT a.name FROM unnest(i.indkey) WITH ORDINALITY k (num, place)
                          JOIN columns a ON a.attrelid = i.indrelid AND a.attnum = k.num WHERE k.place > 1 ORDER BY k.place),
                    NULL, NULL
             FROM pg_index i JOIN named t ON t.oid = i.indrelid
             WHERE i.indisunique AND t.name <> 'tenants' AND t.name <> 'skillkeep_migrations'
             ORDER BY 1",
            &[],
        )
        .await
        .unwrap();
    rows.iter()
        .map(|row| Key {
            name: row.get(0),
            table: row.get(1),
            columns: row.get(2),
            target: row.get::<_, Option<String>>(3).map(|table| (table, row.get(4))),
        })
        .collect()
}

/// One row of a tenant.
async fn row_of(superuser: &Client, table: &str, tenant: TenantId) -> Map<String, Value> {
    let row = superuser
        .query_one(
            &format!("SELECT to_jsonb(t) FROM {table} t WHERE tenant_id = $1 LIMIT 1"),
            &[tenant.as_uuid()],
        )
        .await
        .unwrap();
    row.get::<_, Value>(0).as_object().unwrap().clone()
}

/// A value of the same type that no row has.
fn unused_value(like: &Value) -> Value {
    let id = TenantId::new().to_string();
    match like {
        Value::Number(_) => 4343.into(),
        Value::String(text) if text.starts_with("\\x") => Digest::of(id.as_bytes())
            .to_string()
            .replace("sha256:", "\\x")
            .into(),
        // A UUIDv7 of the current time, which selects the partition of a usage event.
        Value::String(_) | Value::Null => id.into(),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => panic!("no key has such a column: {like}"),
    }
}

/// Returns the database's response to inserting this row, without the values that were tried.
async fn insert(
    attacker: &SqlAttacker,
    mine: TenantId,
    table: &str,
    row: &Map<String, Value>,
    tried: &[Value],
) -> String {
    let row = Value::Object(row.clone());
    // The attacker's own row would conflict where a key consists of references alone.
    let clear = match table {
        "ratings" | "distributions" | "user_group_members" => format!("DELETE FROM {table};"),
        _ => String::new(),
    };
    let sql = format!(
        "{clear} INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, '{row}')).* RETURNING 'added';
         SET CONSTRAINTS ALL IMMEDIATE"
    );
    let mut output = attacker.execute(mine, &sql).await;
    for value in tried {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        output = output.replace(&text, "WORD");
    }
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn key_violations_do_not_reveal_foreign_rows() {
    let db = TestDb::new().await;
    let (mine, other_tenant) = (db.tenant("mine").await, db.tenant("victim").await);
    let superuser = db.superuser().await;
    insert_rows(&superuser, mine, "probe").await;
    insert_rows(&superuser, other_tenant, "secret").await;
    // Granted so that the keys are reached. The checks are dropped so that a random digest or id reaches its key.
    superuser
        .batch_execute(&format!(
            "ALTER TABLE blobs DROP CONSTRAINT blobs_digest_of_bytes_check;
             ALTER TABLE signing_keys DROP CONSTRAINT signing_keys_check;
             UPDATE skills SET revision = 4242 WHERE tenant_id = '{other_tenant}';
             GRANT INSERT, DELETE ON ALL TABLES IN SCHEMA public TO skillkeep_app"
        ))
        .await
        .unwrap();
    let keys = keys(&superuser).await;
    let attacker = SqlAttacker::connect(&db).await;
    let mut tried: BTreeMap<&str, usize> = BTreeMap::new();
    for key in &keys {
        let own = row_of(&superuser, &key.table, mine).await;
        // A row's own id is no reference, although a key leads from it to the row's latest version.
        let references = |column: &String| {
            column != "id"
                && keys.iter().any(|other| {
                    other.table == key.table && other.target.is_some() && other.columns.contains(column)
                })
        };
        // The columns of a unique key that are no reference. References are tried with their foreign key.
        let columns: Vec<&String> = key
            .columns
            .iter()
            .filter(|column| key.target.is_some() || !references(column))
            .collect();
        let existing: Vec<Value> = match &key.target {
            Some((target, names)) => {
                let row = row_of(&superuser, target, other_tenant).await;
                names.iter().map(|name| row[name].clone()).collect()
            }
            None => {
                let row = row_of(&superuser, &key.table, other_tenant).await;
                columns.iter().map(|name| row[*name].clone()).collect()
            }
        };
        if columns.is_empty()
            || columns
                .iter()
                .zip(&existing)
                .all(|(name, value)| own[*name] == *value)
        {
            // The attacker has the same values.
            continue;
        }
        let missing: Vec<Value> = existing.iter().map(unused_value).collect();
        let mut answers = Vec::new();
        for values in [&existing, &missing] {
            let mut row = own.clone();
            for other in keys
                .iter()
                .filter(|other| other.table == key.table && other.target.is_none())
            {
                for column in other.columns.iter().filter(|column| !references(column)) {
                    row.insert(column.clone(), unused_value(&own[column]));
                }
            }
            for (column, value) in columns.iter().zip(values) {
                row.insert((*column).clone(), value.clone());
            }
            answers.push(insert(&attacker, mine, &key.table, &row, values).await);
        }
        assert_eq!(answers[0], answers[1], "{} of {}", key.name, key.table);
        let kind = if key.target.is_some() { "23503" } else { "added" };
        assert!(
            answers[0].contains(kind),
            "{} of {}: {}",
            key.name,
            key.table,
            answers[0]
        );
        *tried.entry(kind).or_default() += 1;
    }
    assert!(
        tried["23503"] >= 15 && tried["added"] >= 12,
        "{tried:?} of {}",
        keys.len()
    );
}

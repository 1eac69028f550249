//! An export is a consistent snapshot of a tenant.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use skillkeep::db::{ExportItem, export_tenant};

use crate::harness::TestDb;

#[tokio::test(flavor = "multi_thread")]
async fn skill_published_during_an_export_is_not_partly_exported() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.full_key(tenant).await;
    db.skill(
        tenant,
        "first",
        "Published before the export.",
        &[("notes.txt", b"first")],
    )
    .await;
    let mut rows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut files = BTreeSet::new();
    let mut has_published = false;
    export_tenant(&db.admin, tenant, |item| {
        if !has_published {
            has_published = true;
            // Another administrator publishes while the first table is read.
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(db.skill(
                    tenant,
                    "second",
                    "Published during the export.",
                    &[("notes.txt", b"second")],
                ))
            });
        }
        match item {
            ExportItem::Row { table, row } => rows.entry(table.to_owned()).or_default().push(row),
            ExportItem::File { name, .. } => assert!(files.insert(name)),
        }
        Ok(())
    })
    .await
    .unwrap();
    assert!(has_published);
    let count = |table: &str| rows[table].len();
    assert_eq!(
        (count("skills"), count("skill_versions"), count("skill_files")),
        (1, 1, 2)
    );
    assert_eq!((count("audit_logs"), count("blobs"), files.len()), (1, 2, 2));
    // Rows have every column of their table, except the bytes of a blob, which are its file.
    let columns: Vec<String> = db
        .superuser()
        .await
        .query(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = 'blobs'::regclass AND attnum > 0 AND NOT attisdropped",
            &[],
        )
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    let columns: BTreeSet<&str> = columns
        .iter()
        .map(String::as_str)
        .filter(|name| *name != "bytes")
        .collect();
    let exported: BTreeSet<&str> = rows["blobs"][0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(exported, columns);
}

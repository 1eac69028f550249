//! Every foreign key has an index on its referencing columns, so that deleting or changing a referenced row reads no whole table.

use tokio_postgres::Client;

use crate::harness::TestDb;

/// Foreign keys whose referencing columns no index serves, as `table.constraint (columns)`.
///
/// An index serves them if it begins with them, in any order, or if it is unique and holds no other column.
async fn foreign_keys_without_index(client: &Client) -> Vec<String> {
    let rows = client
        .query(
            "SELECT format('%s.%s (%s)', c.conrelid::regclass, c.conname, (
                        SELECT string_agg(a.attname, ', ' ORDER BY k.position)
                        FROM unnest(c.conkey) WITH ORDINALITY AS k (number, position)
                        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number)) AS name
             FROM pg_constraint c
             WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace AND NOT EXISTS (
                 SELECT FROM pg_index i, LATERAL (SELECT string_to_array(i.indkey::text, ' ')::int2[] AS columns) k
                 WHERE i.indrelid = c.conrelid AND i.indisvalid AND i.indpred IS NULL
                   AND (k.columns[1:cardinality(c.conkey)] @> c.conkey
                        OR i.indisunique AND c.conkey @> k.columns[1:i.indnkeyatts]))
             ORDER BY 1",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get("name")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_foreign_key_has_an_index_on_its_columns() {
    let db = TestDb::new().await;
    let superuser = db.superuser().await;
    assert_eq!(foreign_keys_without_index(&superuser).await, Vec::<String>::new());
    let keys: i64 = db
        .value("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace")
        .await;
    assert!(keys > 30, "{keys}");
    // The query must be able to find something.
    for (change, found) in [
        (
            "DROP INDEX installs_by_user",
            "installs.installs_tenant_id_user_id_fkey (tenant_id, user_id)",
        ),
        (
            "DROP INDEX installs_by_user; CREATE INDEX installs_by_user ON installs (user_id)",
            "installs.installs_tenant_id_user_id_fkey (tenant_id, user_id)",
        ),
        (
            "DROP INDEX installs_by_user; CREATE INDEX installs_by_user ON installs (tenant_id, user_id) WHERE state = 'offered'",
            "installs.installs_tenant_id_user_id_fkey (tenant_id, user_id)",
        ),
        (
            "CREATE TABLE notes (tenant_id uuid REFERENCES tenants (active_tenant_id))",
            "notes.notes_tenant_id_fkey (tenant_id)",
        ),
    ] {
        superuser
            .batch_execute(&format!("BEGIN; {change}"))
            .await
            .unwrap();
        let without_index = foreign_keys_without_index(&superuser).await;
        superuser.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(without_index, [found], "{change}");
    }
}

//! What an attacker with the server's database role can do to signatures.

use skillkeep::db::connect_owner;

use super::{Signed, publication};

#[tokio::test(flavor = "multi_thread")]
async fn server_role_adds_no_key_and_changes_no_signature() {
    let signed = Signed::new().await;
    let key = signed.create_key();
    signed
        .client()
        .await
        .ok("publish_skill", publication("sort-tides", "One."))
        .await;
    let server = connect_owner(&signed.db.ways.server).await.unwrap();
    let tenant = signed.tenant;
    server
        .batch_execute(&format!("SET app.current_tenant_id = '{tenant}'"))
        .await
        .unwrap();
    for statement in [
        "INSERT INTO signing_keys (tenant_id, id, public_key, created_by)
         VALUES (current_tenant_id(), left(encode(sha256(sha256('x')), 'hex'), 16), sha256('x'), 'x')",
        "UPDATE signing_keys SET retired_at = now()",
        "DELETE FROM signing_keys",
        "UPDATE version_signatures SET signature = sha256('x') || sha256('x')",
        "DELETE FROM version_signatures",
    ] {
        let error = server.batch_execute(statement).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "{statement}");
    }
    // Nor does the administrator's role let a retired key sign.
    signed.run(&["signing-key", "retire", &key.key_id().to_string()]);
    let again = "INSERT INTO version_signatures (tenant_id, version_id, slug, key_id, signature)
                 SELECT tenant_id, version_id, 'other', key_id, signature FROM version_signatures";
    let error = server.batch_execute(again).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "23001");
    // The id of a key follows from the key.
    let admin = connect_owner(&signed.db.ways.admin).await.unwrap();
    let error = admin
        .batch_execute(&format!(
            "SET app.current_tenant_id = '{tenant}';
             INSERT INTO signing_keys (tenant_id, id, public_key, created_by)
             VALUES ('{tenant}', '0123456789abcdef', sha256('x'), 'x')"
        ))
        .await
        .unwrap_err();
    assert_eq!(error.code().unwrap().code(), "23514");
}

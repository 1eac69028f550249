//! `skillkeep signing-key`, and signing at the command line.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use serde_json::json;
use skill_signature::SigningKey;

use super::{Signed, check, install, publication};
use crate::command::{CommandOutput, admin, ended, program_as};

#[tokio::test(flavor = "multi_thread")]
async fn private_key_is_in_a_private_file_and_nowhere_in_the_database() {
    let signed = Signed::new().await;
    let key = signed.create_key();
    let pem = std::fs::read_to_string(signed.key_file()).unwrap();
    assert_eq!(SigningKey::from_pem(&pem).unwrap().public_key(), key);
    let found = std::fs::metadata(signed.key_file()).unwrap();
    assert_eq!((found.mode() & 0o777, found.nlink()), (0o600, 1));
    let secret = pem.lines().nth(1).unwrap();
    let out = signed.folder.path().join("export");
    admin(
        &signed.db,
        &["tenant", "export", "acme", "--out", out.to_str().unwrap()],
    );
    let mut exported = String::new();
    for file in std::fs::read_dir(out.join("tables")).unwrap() {
        exported += &std::fs::read_to_string(file.unwrap().path()).unwrap();
    }
    assert!(exported.contains(&key.key_id().to_string()));
    assert!(!exported.contains(secret));
    let listed = signed.run(&["signing-key", "list"]);
    assert_eq!(listed[0]["public_key"], key.to_string());
    assert_eq!(listed[0]["retired_at"], json!(null));
    let second = signed.create_key();
    let keys = SigningKey::all_from_pem(&std::fs::read_to_string(signed.key_file()).unwrap()).unwrap();
    assert_eq!(
        keys.iter().map(SigningKey::public_key).collect::<Vec<_>>(),
        [key, second]
    );
    assert_eq!(
        std::fs::metadata(signed.key_file()).unwrap().mode() & 0o777,
        0o600
    );
    let printed = admin(&signed.db, &["signing-key", "export", "--tenant", "acme"]).out;
    assert_eq!(printed, format!("{second}\n{key}\n"));
    let actions: Vec<String> = admin(&signed.db, &["audit", "tail", "--tenant", "acme", "--json"])
        .json_lines()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap().to_owned())
        .filter(|action| action.starts_with("signing_key"))
        .collect();
    assert_eq!(actions, ["signing_key.create", "signing_key.create"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_sign_and_refuse_to_publish_without_the_key() {
    let signed = Signed::new().await;
    admin(&signed.db, &["import", "samples", "--tenant", "acme"]);
    let key = signed.create_key();
    let folder = signed.folder();
    let unsigned = ended(
        &signed.db,
        &[
            "publish",
            "samples/summarise-meeting",
            "--tenant",
            "acme",
            "--skill",
            "minutes",
        ],
    );
    assert_eq!(unsigned.code, 4, "{unsigned:?}");
    assert!(
        unsigned.err.contains("no private keys are configured"),
        "{unsigned:?}"
    );
    let fork = [
        "skill",
        "fork",
        "summarise-meeting",
        "--as",
        "minutes",
        "--tenant",
        "acme",
    ];
    assert_eq!(ended(&signed.db, &fork).code, 4);
    let forked = [&fork[..], &["--signing-keys", &folder]].concat();
    admin(&signed.db, &forked);
    assert_eq!(signed.signatures().await, 1);
    // From the environment.
    let pem = std::fs::read_to_string(signed.key_file()).unwrap();
    let publish = [
        "publish",
        "samples/summarise-meeting",
        "--tenant",
        "acme",
        "--skill",
        "protocol",
    ];
    let mut command = program_as("skillkeep_owner", &signed.db, &publish);
    let ran = CommandOutput::of(command.env("SKILLKEEP_SIGNING_KEY", &pem));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(signed.signatures().await, 2);
    let mut both = program_as("skillkeep_owner", &signed.db, &forked);
    assert_eq!(CommandOutput::of(both.env("SKILLKEEP_SIGNING_KEY", &pem)).code, 2);

    assert_eq!(signed.run(&["signing-key", "sign-missing"])["signed"], 5);
    assert_eq!(signed.run(&["signing-key", "sign-missing"])["signed"], 0);
    let client = signed.client().await;
    assert_eq!(
        check(
            &client.ok("install_skill", install("debug-flaky-test")).await,
            &key
        ),
        Ok(())
    );

    std::fs::set_permissions(signed.folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let open = ended(&signed.db, &forked);
    assert_eq!(open.code, 4, "{open:?}");
    assert!(open.err.contains("other accounts can change it"), "{open:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_key_is_registered_once_and_a_foreign_file_is_refused() {
    let signed = Signed::new().await;
    let file = signed.folder.path().join("distributed.key");
    std::fs::write(&file, SigningKey::generate().unwrap()).unwrap();
    let create = |file: &std::path::Path| {
        let file = file.display().to_string();
        ended(
            &signed.db,
            &["signing-key", "create", "--existing", &file, "--tenant", "acme"],
        )
    };
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(create(&file).code, 4);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(create(&file).code, 0);
    assert_eq!(create(&file).code, 4);
    let without = ended(&signed.db, &["signing-key", "create", "--tenant", "acme"]);
    assert_eq!(without.code, 2, "{without:?}");
    let unknown = ended(
        &signed.db,
        &["signing-key", "retire", "0123456789abcdef", "--tenant", "acme"],
    );
    assert_eq!(unknown.code, 3, "{unknown:?}");
    let none = ended(
        &signed.db,
        &["signing-key", "sign-missing", "--tenant", "default"],
    );
    assert_eq!(none.code, 3, "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn version_whose_files_were_changed_in_the_database_is_not_signed() {
    let signed = Signed::new().await;
    let client = signed.client().await;
    client
        .ok("publish_skill", publication("sort-tides", "One."))
        .await;
    client
        .ok("publish_skill", publication("sort-ships", "One."))
        .await;
    signed
        .db
        .superuser()
        .await
        .batch_execute(
            "ALTER TABLE blobs DROP CONSTRAINT blobs_digest_of_bytes_check;
             ALTER TABLE blobs DISABLE TRIGGER USER;
             UPDATE blobs SET bytes = 'evil' WHERE digest = (SELECT f.digest FROM skill_files f
                 JOIN skill_versions v ON v.id = f.version_id JOIN skills s ON s.id = v.skill_id WHERE s.slug = 'sort-tides');",
        )
        .await
        .unwrap();
    signed.create_key();
    let folder = signed.folder();
    let ran = ended(
        &signed.db,
        &[
            "signing-key",
            "sign-missing",
            "--signing-keys",
            &folder,
            "--tenant",
            "acme",
        ],
    );
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("sort-tides 1"), "{ran:?}");
    assert_eq!(signed.signatures().await, 1);
}

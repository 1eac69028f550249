//! Recognises files with passwords, keys and tokens: by name where the name is enough, else by content.

const ENVIRONMENT: &str = "environment file";
const PRIVATE_KEY: &str = "private key";
const CREDENTIALS: &str = "credentials";

/// Words in a file name that mark an example.
const EXAMPLE_WORDS: [&str; 13] = [
    "example", "examples", "sample", "samples", "template", "tmpl", "tpl", "dist", "default", "defaults",
    "schema", "demo", "skeleton",
];

/// Folders whose `secrets.yaml` is an example.
const EXAMPLE_FOLDERS: [&str; 9] = [
    "example",
    "examples",
    "sample",
    "samples",
    "template",
    "templates",
    "assets",
    "references",
    "fixtures",
];

const CREDENTIAL_NAMES: [&str; 32] = [
    ".netrc",
    "_netrc",
    ".git-credentials",
    ".pypirc",
    ".pgpass",
    "pgpass.conf",
    ".my.cnf",
    ".mylogin.cnf",
    ".htpasswd",
    ".htdigest",
    ".dockercfg",
    ".vault-token",
    ".vault_pass",
    ".boto",
    ".s3cfg",
    ".rclone.conf",
    "rclone.conf",
    "kubeconfig",
    ".secret",
    ".secrets",
    ".token",
    ".credentials",
    "credentials",
    "application_default_credentials.json",
    "wallet.dat",
    "keystore.properties",
    ".bash_history",
    ".zsh_history",
    ".python_history",
    ".node_repl_history",
    ".psql_history",
    ".mysql_history",
];

/// Extensions of key stores and private keys.
const KEY_EXTENSIONS: [&str; 13] = [
    "key", "p12", "pfx", "pkcs12", "jks", "keystore", "bks", "kdbx", "kdb", "ppk", "keychain", "keytab",
    "tfstate",
];

/// Extensions of files that may be a private key or a public certificate.
const PEM_EXTENSIONS: [&str; 7] = ["pem", "p8", "crt", "cer", "cert", "asc", "der"];

/// What a file holds, judged by its path with `/` as separator. Its content is not needed.
pub(crate) fn secret_by_name(path: &str) -> Option<&'static str> {
    let path = path.to_ascii_lowercase();
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let is_example = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| EXAMPLE_WORDS.contains(&word));
    if is_environment_file(name) && !is_example {
        return Some(ENVIRONMENT);
    }
    let is_ssh_key = ["id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"].iter().any(|key| {
        name.strip_prefix(key)
            .is_some_and(|rest| !rest.ends_with(".pub") && !rest.ends_with(".md"))
    });
    if is_ssh_key || (KEY_EXTENSIONS.contains(&extension) && !is_example) {
        return Some(PRIVATE_KEY);
    }
    let parent = folder.rsplit('/').next().unwrap_or("");
    let is_in_examples = folder
        .split('/')
        .any(|segment| EXAMPLE_FOLDERS.contains(&segment));
    let is_data = matches!(
        extension,
        "json" | "yml" | "yaml" | "toml" | "ini" | "csv" | "txt" | "env" | "enc"
    );
    let is_named_so = CREDENTIAL_NAMES.contains(&name)
        || (is_data
            && matches!(stem, "credentials" | "secrets" | ".credentials" | ".secrets")
            && !is_in_examples)
        || (extension == "json" && is_service_account(stem))
        || (name.starts_with('.') && (name.ends_with("credentials") || name.ends_with("_token")))
        || matches!(
            (parent, name),
            (".docker", "config.json") | (".cargo", "credentials.toml")
        );
    (is_named_so && !is_example).then_some(CREDENTIALS)
}

/// `.env`, `.env.local`, `prod.env`, `.envrc`; not `env.ts`, `.env.d.ts` or `.env.md`.
fn is_environment_file(name: &str) -> bool {
    let is_source = [".ts", ".js", ".md", ".py", ".mjs"]
        .iter()
        .any(|end| name.ends_with(end));
    let is_env = name == ".env" || name == ".envrc" || name.ends_with(".env");
    (is_env || name.starts_with(".env.") || name.starts_with(".env-") || name.starts_with(".env_"))
        && !is_source
}

fn is_service_account(stem: &str) -> bool {
    let stem = stem.replace('-', "_");
    stem.starts_with("client_secret")
        || stem.contains("service_account")
        || stem.contains("serviceaccount")
        || stem.contains("firebase_adminsdk")
}

/// What a file holds, judged by its content. Only files whose name leaves it open are examined.
pub(crate) fn secret_by_content(path: &str, bytes: &[u8]) -> Option<&'static str> {
    let path = path.to_ascii_lowercase();
    let name = path.rsplit('/').next().unwrap_or(&path);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let holds = |words: &[&str]| words.iter().any(|word| contains(bytes, word.as_bytes()));
    if PEM_EXTENSIONS.contains(&extension) {
        return holds(&["PRIVATE KEY-----", "PRIVATE KEY BLOCK-----"]).then_some(PRIVATE_KEY);
    }
    let is_secret = match name {
        ".npmrc" => holds(&["_authToken", "_auth=", "_auth =", "_password"]),
        ".yarnrc.yml" => holds(&["npmAuthToken", "npmAuthIdent"]),
        "token.json" => holds(&["\"refresh_token\"", "\"access_token\""]),
        _ => false,
    };
    is_secret.then_some(CREDENTIALS)
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_recognised() {
        for (path, kind) in [
            (".env", ENVIRONMENT),
            ("a/.env.local", ENVIRONMENT),
            (".env.production", ENVIRONMENT),
            ("prod.env", ENVIRONMENT),
            (".envrc", ENVIRONMENT),
            (".ENV", ENVIRONMENT),
            ("keys/id_rsa", PRIVATE_KEY),
            ("id_ed25519_work", PRIVATE_KEY),
            ("server.key", PRIVATE_KEY),
            ("a.p12", PRIVATE_KEY),
            ("a.PFX", PRIVATE_KEY),
            ("release.keystore", PRIVATE_KEY),
            ("credentials", CREDENTIALS),
            ("config/credentials.json", CREDENTIALS),
            ("client_secret_12.apps.json", CREDENTIALS),
            ("my-service-account.json", CREDENTIALS),
            ("secrets.yaml", CREDENTIALS),
            (".netrc", CREDENTIALS),
            (".shareone_credentials", CREDENTIALS),
            (".docker/config.json", CREDENTIALS),
            (".bash_history", CREDENTIALS),
        ] {
            assert_eq!(secret_by_name(path), Some(kind), "{path}");
        }
    }

    #[test]
    fn names_that_only_resemble_secrets_are_kept() {
        for path in [
            ".env.example",
            ".env.sample",
            ".env-template",
            "example.env",
            ".env.dist",
            "env.ts",
            ".env.d.ts",
            "environment.md",
            "id_rsa.pub",
            "id_rsa.md",
            "references/secrets.md",
            "references/credentials.md",
            "examples/secrets.yaml",
            "assets/external-secrets.yaml",
            "credentials.example.json",
            "scripts/credentials.py",
            "scripts/ensure_credentials.js",
            "scripts/get-token.sh",
            "keyboard.json",
            "public.pem",
            "key",
            "token.json",
            ".npmrc",
            "config.json",
        ] {
            assert_eq!(secret_by_name(path), None, "{path}");
        }
    }

    #[test]
    fn content_decides_where_the_name_does_not() {
        // Split, so that no scanner takes this file for a key.
        let private = format!("-----BEGIN RSA {} KEY-----\nMIIE", "PRIVATE");
        for (path, content, kind) in [
            ("tls/server.pem", private.as_str(), Some(PRIVATE_KEY)),
            ("ca.pem", "-----BEGIN CERTIFICATE-----\n", None),
            ("ca.md", private.as_str(), None),
            (".npmrc", "//registry/:_authToken=x", Some(CREDENTIALS)),
            (".npmrc", "save-exact=true", None),
            ("token.json", "{\"refresh_token\": \"x\"}", Some(CREDENTIALS)),
            ("token.json", "{\"color\": \"red\"}", None),
        ] {
            assert_eq!(secret_by_content(path, content.as_bytes()), kind, "{path}");
        }
    }
}

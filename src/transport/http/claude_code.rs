//! The marketplace of skills for Claude Code, `/claude-code/marketplace.json`, and the archives of its plugins.

use std::sync::Arc;

use axum::Router;
use axum::extract::{OriginalUri, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error_response::{json_error, try_later};
use super::fetch::{self, ASK_AGAIN, Fetches, known_digests};
use super::forwarded::PathPrefix;
use super::public_base::public_base;
use super::well_known::{SEGMENT, json_index, shortened};
use crate::fetches::{
    ClaudeCodeMarketplace, ClaudeCodePlugin, Marketplace, Plugin, PluginArchive, PluginIndex,
};

const MARKETPLACE: &str = "/claude-code/marketplace.json";

struct Plugins {
    fetches: Arc<Fetches>,
    prefix: PathPrefix,
}

/// The routes, all of which need a caller.
pub(super) fn routes(fetches: &Arc<Fetches>, prefix: PathPrefix) -> Router {
    let plugins = Plugins {
        fetches: Arc::clone(fetches),
        prefix,
    };
    Router::new()
        .route(MARKETPLACE, get(marketplace))
        .route("/claude-code/{slug}/{file}", get(plugin))
        .with_state(Arc::new(plugins))
}

async fn marketplace(
    State(plugins): State<Arc<Plugins>>,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Response {
    let (parts, _body) = request.into_parts();
    let Some(base) = base(&uri, &parts.headers, &plugins.prefix) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let respond = |index| match index {
        PluginIndex::Complete(marketplace) => json_index(&parts.headers, &described(&marketplace, &base)),
        PluginIndex::Computing { known, all } => {
            let message = format!(
                "The marketplace is being computed: {known} of {all} skills are done. Ask again in a moment."
            );
            try_later(StatusCode::SERVICE_UNAVAILABLE, 1, &message)
        }
    };
    fetch::answer(&plugins.fetches, &parts, ClaudeCodeMarketplace, respond).await
}

/// The address of the folder `claude-code`, below the secret path if the request came there: the client sends the headers of the
/// marketplace with its archives, so that a key in a header needs no secret in the address.
fn base(uri: &Uri, headers: &HeaderMap, prefix: &PathPrefix) -> Option<String> {
    let root = public_base(uri, headers, prefix)?;
    let path = uri.path().strip_suffix(MARKETPLACE).unwrap_or_default();
    // Some proxies remove the prefix, others do not.
    let below = path.strip_prefix(prefix.as_str()).unwrap_or(path);
    Some(format!("{root}{below}/claude-code"))
}

fn described(marketplace: &Marketplace, base: &str) -> Value {
    let plugin = |plugin: &Plugin| {
        let encoded = |text| utf8_percent_encode(text, SEGMENT);
        let url = format!(
            "{base}/{}/{}.zip",
            encoded(&plugin.slug),
            encoded(&plugin.version)
        );
        let digest = plugin.digest.to_string();
        let sha256 = digest.strip_prefix("sha256:").unwrap_or(&digest);
        json!({
            "name": plugin.slug, "version": plugin.version, "description": shortened(&plugin.description),
            "source": {"source": "archive", "url": url, "sha256": sha256},
        })
    };
    let plugins: Vec<Value> = marketplace.plugins.iter().map(plugin).collect();
    json!({"name": marketplace.name, "owner": {"name": marketplace.owner}, "plugins": plugins})
}

#[derive(Deserialize)]
struct Params {
    slug: String,
    file: String,
}

async fn plugin(
    State(plugins): State<Arc<Plugins>>,
    Path(Params { slug, file }): Path<Params>,
    request: Request,
) -> Response {
    let Some(version) = file.strip_suffix(".zip") else {
        let message = "There is nothing at this path. The plugin of a skill is downloaded from /claude-code/SLUG/VERSION.zip.";
        return json_error(StatusCode::NOT_FOUND, "not_found", message);
    };
    let (parts, _body) = request.into_parts();
    let plugin = ClaudeCodePlugin {
        skill: slug,
        version: version.to_owned(),
        known: known_digests(&parts.headers),
    };
    fetch::answer(&plugins.fetches, &parts, plugin, respond).await
}

fn respond(archive: PluginArchive) -> Response {
    let mut response = match archive.bytes {
        Some(bytes) => ([(header::CONTENT_TYPE, "application/zip")], bytes).into_response(),
        None => StatusCode::NOT_MODIFIED.into_response(),
    };
    let headers = response.headers_mut();
    // The slug in the plugin may change, and the version may be withdrawn.
    fetch::set_validators(headers, archive.digest, ASK_AGAIN);
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base_of(path: &str, prefix: &str, forwarded: Option<&'static str>) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("skills.example.com"));
        if let Some(forwarded) = forwarded {
            headers.insert("x-forwarded-prefix", HeaderValue::from_static(forwarded));
        }
        let prefix = if prefix.is_empty() {
            PathPrefix::default()
        } else {
            prefix.parse().unwrap()
        };
        base(&path.parse().unwrap(), &headers, &prefix).unwrap()
    }

    #[test]
    fn archives_lie_below_the_path_that_was_asked_for() {
        let root = "https://skills.example.com";
        let expected = format!("{root}/claude-code");
        assert_eq!(base_of("/claude-code/marketplace.json", "", None), expected);
        let expected = format!("{root}/d/skeepd_x/claude-code");
        assert_eq!(
            base_of("/d/skeepd_x/claude-code/marketplace.json", "", None),
            expected
        );
        let expected = format!("{root}/p/d/skeepd_x/claude-code");
        // A proxy that keeps the prefix, one that removes it, and one that names it.
        for (path, prefix, forwarded) in [
            ("/p/d/skeepd_x/claude-code/marketplace.json", "/p", None),
            ("/d/skeepd_x/claude-code/marketplace.json", "/p", None),
            ("/d/skeepd_x/claude-code/marketplace.json", "", Some("/p")),
        ] {
            assert_eq!(base_of(path, prefix, forwarded), expected);
        }
    }
}

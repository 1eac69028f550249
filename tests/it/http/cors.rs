//! Web pages of allowed origins can call the registry and read its answers; those of other origins cannot.

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;
use skillkeep::tenancy::ApiKey;
use skillkeep::transport::http::HttpOptions;

use crate::harness::TestDb;
use crate::http_server::{TestHttpServer, call, post};

const ORIGIN: &str = "https://tools.example.com";
const PATHS: [&str; 5] = ["/mcp", "/mcp/", "/sse", "/messages", "/skills"];

struct Page {
    _db: TestDb,
    key: ApiKey,
    served: TestHttpServer,
}

impl Page {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let key = db.full_key(db.tenant("acme").await).await;
        let mut options = HttpOptions::default();
        options.allowed_origins.push(ORIGIN.to_owned());
        let served = TestHttpServer::start(db.service(), options).await;
        Self { _db: db, key, served }
    }

    fn request(&self, method: Method, path: &str, origin: &str) -> RequestBuilder {
        reqwest::Client::new()
            .request(method, format!("http://{}{path}", self.served.at))
            .header("origin", origin)
    }

    fn preflight(&self, path: &str, origin: &str) -> RequestBuilder {
        self.request(Method::OPTIONS, path, origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,content-type,mcp-protocol-version,mcp-param-x",
            )
    }
}

fn list(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap());
    values
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

fn assert_allowed(headers: &HeaderMap, origin: &str) {
    assert_eq!(headers["access-control-allow-origin"], origin);
    assert!(
        list(headers, "vary").contains(&"origin".to_owned()),
        "{headers:?}"
    );
    assert!(!headers.contains_key("access-control-allow-credentials"));
}

fn assert_not_allowed(headers: &HeaderMap) {
    let named = |name: &reqwest::header::HeaderName| name.as_str().starts_with("access-control-");
    assert!(!headers.keys().any(named), "{headers:?}");
    assert!(
        list(headers, "vary").contains(&"origin".to_owned()),
        "{headers:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn preflight_of_allowed_origin_needs_no_key() {
    let page = Page::new().await;
    for path in PATHS {
        for origin in [ORIGIN, "http://localhost:3000"] {
            let response = page.preflight(path, origin).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            let headers = response.headers();
            assert_allowed(headers, origin);
            let methods = list(headers, "access-control-allow-methods");
            for method in ["get", "post", "delete"] {
                assert!(methods.contains(&method.to_owned()), "{methods:?}");
            }
            let allowed = list(headers, "access-control-allow-headers");
            for header in [
                "authorization",
                "content-type",
                "mcp-protocol-version",
                "mcp-param-x",
            ] {
                assert!(allowed.contains(&header.to_owned()), "{allowed:?}");
            }
            assert_eq!(headers["access-control-max-age"], "600");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn preflight_of_other_origin_or_host_is_refused() {
    let page = Page::new().await;
    for path in PATHS {
        for origin in [
            "https://evil.example",
            "null",
            "https://tools.example.com.evil.example",
        ] {
            let response = page.preflight(path, origin).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path} {origin}");
            assert_not_allowed(response.headers());
        }
        let rebound = page.preflight(path, ORIGIN).header("host", "evil.example");
        let response = rebound.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path}");
        assert_not_allowed(response.headers());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_and_errors_are_readable_for_allowed_origin_only() {
    let page = Page::new().await;
    let body = call(1, "whoami", &json!({}));
    let ask = || post(page.served.at, &page.key, &body);
    let empty = |method, path| page.request(method, path, ORIGIN);
    for (request, status) in [
        (ask().header("origin", ORIGIN), 200),
        (ask().header("origin", ORIGIN).body("{"), 400),
        (
            ask()
                .header("origin", ORIGIN)
                .header("content-type", "text/plain"),
            200,
        ),
        (
            ask().header("origin", ORIGIN).header("content-encoding", "gzip"),
            415,
        ),
        (empty(Method::POST, "/mcp"), 401),
        (empty(Method::GET, "/sse"), 401),
        (empty(Method::POST, "/skills"), 401),
        (empty(Method::GET, "/mcp").bearer_auth(page.key.reveal()), 405),
        (empty(Method::GET, "/sse").bearer_auth(page.key.reveal()), 200),
        (
            empty(Method::POST, "/messages?sessionId=0").bearer_auth(page.key.reveal()),
            404,
        ),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{response:?}");
        assert_allowed(response.headers(), ORIGIN);
        let exposed = list(response.headers(), "access-control-expose-headers");
        for header in [
            "mcp-session-id",
            "mcp-protocol-version",
            "www-authenticate",
            "retry-after",
        ] {
            assert!(exposed.contains(&header.to_owned()), "{exposed:?}");
        }
    }
    let response = ask()
        .header("origin", "https://evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_not_allowed(response.headers());
    // A client that is no web page.
    let response = ask().send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(!response.headers().contains_key("access-control-allow-origin"));
}

//! `GET /skills/{slug}/{version}.zip`: the same bytes every time, one event for every download, and nothing of what the key
//! must not see.

mod refused;

use std::net::SocketAddr;
use std::sync::Arc;

use agent_skills::{SkillFile, SkillPath, read_skill_archive, write_zip};
use rand::{RngExt as _, SeedableRng as _};
use reqwest::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use skillkeep::fetches::{ArchiveBytes, Download};
use skillkeep::ids::TenantId;
use skillkeep::registry::samples;
use skillkeep::server::{CallService, RequestMetadata, TransportKind};
use skillkeep::tenancy::ApiKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::TestDb;
use crate::http_server::serve;
use crate::upload::{SKILL_MD, files, stored_files};

struct Fixture {
    db: TestDb,
    service: Arc<CallService>,
    at: SocketAddr,
    tenant: TenantId,
    key: ApiKey,
}

impl Fixture {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let tenant = db.tenant("acme").await;
        let key = db.full_key(tenant).await;
        let service = db.service();
        let at = serve(&service).await;
        Self {
            db,
            service,
            at,
            tenant,
            key,
        }
    }

    fn request(&self, method: Method, key: &ApiKey, path: &str) -> RequestBuilder {
        reqwest::Client::new()
            .request(method, format!("http://{}{path}", self.at))
            .bearer_auth(key.reveal())
            .header("user-agent", "fetcher/1.4")
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, &self.key, path).send().await.unwrap()
    }

    /// Publishes these files as an archive.
    async fn publish(&self, query: &str, files: &[SkillFile]) -> Value {
        let request = self.request(Method::POST, &self.key, &format!("/skills{query}"));
        let response = request.body(write_zip(files).unwrap()).send().await.unwrap();
        let (status, body) = (response.status(), response.text().await.unwrap());
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Code and message of the error that a download must get.
    async fn refused(&self, key: &ApiKey, path: &str, status: StatusCode) -> (String, String) {
        let response = self.request(Method::GET, key, path).send().await.unwrap();
        let (found, body) = (response.status(), response.text().await.unwrap());
        assert_eq!(found, status, "{path}: {body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        let text = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
        (text("code"), text("message"))
    }

    /// The events of downloads as (outcome, error code, whether they name a version), oldest first.
    async fn downloads(&self) -> Vec<(String, Option<String>, bool)> {
        let query = "SELECT outcome, error_code, version_id IS NOT NULL FROM usage_events WHERE tool = 'skills/download' \
                     ORDER BY id";
        let rows = self.db.superuser().await.query(query, &[]).await.unwrap();
        rows.iter()
            .map(|row| (row.get(0), row.get(1), row.get(2)))
            .collect()
    }
}

fn header(response: &Response, name: impl reqwest::header::AsHeaderName) -> String {
    let value = response.headers().get(name).map(|value| value.to_str().unwrap());
    value.unwrap_or_default().to_owned()
}

fn succeeded() -> (String, Option<String>, bool) {
    ("ok".to_owned(), None, true)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_is_downloaded_with_the_bytes_that_were_published() {
    let fixture = Fixture::new().await;
    for sample in samples::all().unwrap() {
        let slug = &sample.folder.folder_name;
        let published = fixture
            .publish(&format!("?name={slug}.zip&version=1.0"), &sample.folder.files)
            .await;
        for path in [
            format!("/skills/{slug}/1.0.zip"),
            format!("/skills/{slug}/latest.zip"),
        ] {
            let response = fixture.get(&path).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(header(&response, CONTENT_TYPE), "application/zip");
            let digest = published["digest"].as_str().unwrap();
            assert_eq!(header(&response, ETAG), format!("\"{digest}\""));
            assert_eq!(header(&response, "x-skillkeep-digest"), digest);
            assert_eq!(header(&response, "x-skillkeep-version"), "1.0");
            assert_eq!(
                header(&response, CONTENT_DISPOSITION),
                format!("attachment; filename=\"{slug}-1.0.zip\"")
            );
            let cached = header(&response, CACHE_CONTROL);
            assert!(cached.starts_with("private, "), "{cached}");
            assert_eq!(cached.contains("immutable"), path.ends_with("1.0.zip"), "{path}");
            let bytes = response.bytes().await.unwrap();
            assert_eq!(bytes, write_zip(&sample.folder.files).unwrap(), "{path}");
            let unpacked = read_skill_archive(&bytes, Some(&format!("{slug}.zip"))).unwrap();
            assert_eq!(unpacked.files, stored_files(&fixture.db, slug).await);
        }
    }
    assert_eq!(fixture.downloads().await, vec![succeeded(); 10]);
    let installs: i64 = fixture.db.value("SELECT count(*) FROM installs").await;
    assert_eq!(installs, 0);
    let event: Value = fixture
        .db
        .value("SELECT to_jsonb(e) FROM usage_events e WHERE tool = 'skills/download' ORDER BY id LIMIT 1")
        .await;
    assert_eq!(
        (
            &event["client_name"],
            &event["client_version"],
            &event["transport"]
        ),
        (&json!("fetcher"), &json!("1.4"), &json!("http"))
    );
    assert!(event["result_bytes"].as_i64().unwrap() > 100, "{event}");
    assert_eq!(event["arguments"]["sizes"], json!({"skill": 16, "version": 3}));
}

#[tokio::test(flavor = "multi_thread")]
async fn random_skills_are_downloaded_as_they_were_uploaded() {
    let fixture = Fixture::new().await;
    let mut rng = rand::rngs::StdRng::seed_from_u64(20_261_126);
    for number in 0..12 {
        let skill_md = format!("---\nname: random-{number}\ndescription: Number {number}.\n---\nText.\n");
        let mut files = vec![SkillFile {
            path: SkillPath::skill_md(),
            bytes: skill_md.into_bytes(),
            is_executable: false,
        }];
        for file in 0..rng.random_range(0..8) {
            let depth = ["", "a/", "a/b c/", "é/ü/"][rng.random_range(0..4)];
            let length = [0, 1, 100, 300_000][rng.random_range(0..4)];
            files.push(SkillFile {
                path: SkillPath::parse(&format!("{depth}{file}.bin")).unwrap(),
                bytes: (0..length).map(|_| rng.random()).collect(),
                is_executable: rng.random(),
            });
        }
        let uploaded = write_zip(&files).unwrap();
        fixture.publish("?version=2.1", &files).await;
        let response = fixture.get(&format!("/skills/random-{number}/2.1.zip")).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.bytes().await.unwrap() == uploaded, "random-{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn known_version_is_answered_without_bytes_and_recorded() {
    let fixture = Fixture::new().await;
    fixture.publish("?version=1.0", &files()).await;
    let path = "/skills/fold-map/latest.zip";
    let tag = header(&fixture.get(path).await, ETAG);
    for known in [tag.clone(), format!("\"other\", W/{tag}")] {
        let request = fixture.request(Method::GET, &fixture.key, path);
        let response = request.header(IF_NONE_MATCH, known).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(header(&response, ETAG), tag);
        assert_eq!(response.bytes().await.unwrap().len(), 0);
    }
    let request = fixture.request(Method::GET, &fixture.key, path);
    let response = request.header(IF_NONE_MATCH, "\"other\"").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let length = response.bytes().await.unwrap().len();
    let request = fixture.request(Method::HEAD, &fixture.key, path);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, CONTENT_LENGTH), length.to_string());
    assert_eq!(header(&response, ETAG), tag);
    assert_eq!(response.bytes().await.unwrap().len(), 0);
    assert_eq!(fixture.downloads().await, vec![succeeded(); 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn download_that_breaks_off_is_recorded_once() {
    let fixture = Fixture::new().await;
    let mut large = files();
    large[1].bytes = vec![7; 4 << 20];
    fixture.publish("?version=1.0", &large).await;
    for _ in 0..3 {
        let mut stream = TcpStream::connect(fixture.at).await.unwrap();
        let head = format!(
            "GET /skills/fold-map/1.0.zip HTTP/1.1\r\nHost: {}\r\nX-API-Key: {}\r\n\r\n",
            fixture.at,
            fixture.key.reveal()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut first = [0; 1000];
        stream.read_exact(&mut first).await.unwrap();
        assert!(first.starts_with(b"HTTP/1.1 200 "));
        drop(stream);
    }
    // The limits are free again.
    let bytes = fixture
        .get("/skills/fold-map/1.0.zip")
        .await
        .bytes()
        .await
        .unwrap();
    assert!(bytes.len() > 4 << 20);
    assert_eq!(fixture.downloads().await, vec![succeeded(); 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn process_without_http_downloads_and_records() {
    let fixture = Fixture::new().await;
    fixture.publish("?version=1.0", &files()).await;
    let download = Download {
        skill: "fold-map".to_owned(),
        ..Download::default()
    };
    let metadata = RequestMetadata {
        transport: TransportKind::Stdio,
        protocol_version: None,
        client_name: Some("skillkeep".to_owned()),
        client_version: None,
        request_id: None,
        trace_id: None,
    };
    let archive = fixture
        .service
        .download(fixture.key.clone(), download, metadata, None)
        .await
        .unwrap();
    let ArchiveBytes::Zip(bytes) = archive.bytes else {
        panic!("the bytes are missing");
    };
    assert_eq!(bytes, write_zip(&files()).unwrap());
    assert!(SKILL_MD.contains(&archive.slug));
    let events = fixture.db.events(fixture.tenant).await;
    assert_eq!(events.last().unwrap().0, "skills/download");
}

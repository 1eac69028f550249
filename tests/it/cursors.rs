//! Pagination: each item once and in order, and a list accepts only its own cursors.

use std::cell::RefCell;
use std::sync::Arc;

use agent_skills::{SkillFile, SkillFolder, SkillPath, read_document};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use skillkeep::db::TenantTx;
use skillkeep::ids::TenantId;
use skillkeep::registry::audit::Actor;
use skillkeep::registry::caller::Caller;
use skillkeep::registry::publish::{self, NewVersion, Placement, Source};
use skillkeep::registry::scans;
use skillkeep::registry::settings::Settings;
use skillkeep::server::CallService;
use skillkeep::tenancy::ApiKey;

use crate::harness::{Client, TestDb};
use crate::methods::client::{TRANSPORTS, Transport, WireClient};
use crate::methods::{LISTS, pages, store};

/// Slugs whose byte order differs from alphabetical and from numerical order.
fn slug(number: usize) -> String {
    match number % 4 {
        0 => format!("skill-{number}"),
        1 => format!("skill{number}"),
        2 => format!("a-{number}-b"),
        _ => format!("a{number}"),
    }
}

/// Publishes `count` skills in one transaction; returns their slugs, sorted.
async fn publish_many(db: &TestDb, tenant: TenantId, count: usize) -> Vec<String> {
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    for name in (0..count).map(slug) {
        let skill_md = format!("---\nname: {name}\ndescription: One of many.\n---\n\nText.\n");
        let folder = SkillFolder {
            folder_name: name.clone(),
            parent_name: None,
            files: vec![SkillFile {
                path: SkillPath::skill_md(),
                bytes: skill_md.into_bytes(),
                is_executable: false,
            }],
            diagnostics: Vec::new(),
        };
        let caller = Caller::administrator(Actor::Admin("test".to_owned()));
        let (settings, scan) = (Settings::default(), scans::scan_folder(&folder));
        let document = read_document(folder.skill_md(), &name).unwrap();
        let placement = Placement::Source(Source::path(&name));
        let new = NewVersion::new(placement, &folder, &document, &caller, &settings, &scan);
        publish::store(&tx, &new).await.unwrap();
    }
    skillkeep::search::commit(tx).await.unwrap();
    let mut slugs: Vec<String> = (0..count).map(slug).collect();
    slugs.sort();
    slugs
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_returns_each_skill_once_in_byte_order() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let slugs = publish_many(&db, tenant, 230).await;
    let uris: Vec<String> = slugs
        .iter()
        .map(|slug| format!("skill://{slug}/1/{slug}/SKILL.md"))
        .collect();
    let own = ["search_first", "review_skill"].map(str::to_owned);
    let prompts: Vec<String> = own.into_iter().chain(slugs.clone()).collect();
    let (service, key) = (db.service(), db.full_key(tenant).await);
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        for (list, expected, sizes) in [
            (LISTS[0], &uris, [vec![25; 9], vec![5]].concat()),
            (LISTS[1], &uris, [vec![25; 9], vec![5]].concat()),
            (LISTS[2], &prompts, [vec![22], vec![20; 10], vec![10]].concat()),
        ] {
            let first = pages(&mut client, list, &json!({})).await;
            assert_eq!(&first.1, expected, "{transport:?} {}", list.0);
            assert_eq!(first.0, sizes, "{transport:?} {}", list.0);
            assert_eq!(
                pages(&mut client, list, &json!({})).await,
                first,
                "{transport:?} {}",
                list.0
            );
        }
    }
    let client = Client::connect(&service, &key).await;
    assert_eq!(client.service.list_all_resources().await.unwrap().len(), 230);
    assert_eq!(client.service.list_all_prompts().await.unwrap().len(), 232);
    assert_eq!(client.service.list_all_skills().await.unwrap().len(), 230);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_last_page_is_followed_by_no_empty_page() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    publish_many(&db, tenant, 100).await;
    let mut client =
        WireClient::connect(&db.service(), &db.full_key(tenant).await, Transport::InMemory).await;
    for (list, sizes) in [
        (LISTS[0], vec![25; 4]),
        (LISTS[1], vec![25; 4]),
        (LISTS[2], vec![22, 20, 20, 20, 20]),
    ] {
        assert_eq!(pages(&mut client, list, &json!({})).await.0, sizes, "{}", list.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_between_two_pages_moves_no_entry() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let slugs = publish_many(&db, tenant, 120).await;
    let mut client =
        WireClient::connect(&db.service(), &db.full_key(tenant).await, Transport::InMemory).await;
    let first = client.ok("skills/list", json!({})).await;
    // New skills before and after the cursor, and new versions on both sides of it.
    for name in ["a", "zz", &slugs[0], &slugs[119]] {
        db.skill(tenant, name, "Published between two pages.", &[]).await;
    }
    let rest = pages(&mut client, LISTS[0], &json!({"cursor": first["nextCursor"]}))
        .await
        .1;
    let names = |uri: &str| uri.split('/').nth(2).unwrap().to_owned();
    let mut seen: Vec<String> = first["skills"]
        .as_array()
        .unwrap()
        .iter()
        .map(|skill| names(skill["uri"].as_str().unwrap()))
        .collect();
    seen.extend(rest.iter().map(|uri| names(uri)));
    let expected: Vec<String> = slugs.into_iter().chain(["zz".to_owned()]).collect();
    assert_eq!(seen, expected);
}

/// Publishes a skill with 450 files in one folder; returns their names, sorted.
async fn with_a_wide_folder(db: &TestDb, tenant: TenantId) -> Vec<String> {
    let mut names: Vec<String> = (0..450)
        .map(|number| format!("{} {number}.txt", number % 7))
        .collect();
    let paths: Vec<String> = names.iter().map(|name| format!("data/{name}")).collect();
    let skill_md = "---\nname: wide\ndescription: Has many files.\n---\n\nText.\n";
    let mut files: Vec<(&str, &[u8])> = vec![("SKILL.md", skill_md.as_bytes())];
    files.extend(paths.iter().map(|path| (path.as_str(), path.as_bytes())));
    store(db, tenant, "wide", &files).await;
    names.sort();
    names
}

const DATA: &str = "skill://wide/1/wide/data";
const DIRECTORY: (&str, &str, &str) = ("resources/directory/read", "resources", "name");

#[tokio::test(flavor = "multi_thread")]
async fn large_folder_lists_each_file_once_in_byte_order() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let names = with_a_wide_folder(&db, tenant).await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        for uri in [DATA.to_owned(), format!("{DATA}/")] {
            let (sizes, found) = pages(&mut client, DIRECTORY, &json!({"uri": uri})).await;
            assert_eq!(found, names, "{transport:?}");
            assert_eq!(sizes, [200, 200, 50], "{transport:?}");
        }
    }
}

/// Two tenants with the same skills.
struct Setup {
    db: TestDb,
    service: Arc<CallService>,
    mine: TenantId,
    my_key: ApiKey,
    their_key: ApiKey,
}

/// Each list that has more than one page: the method, and the parameters besides the cursor.
fn paged() -> [(&'static str, Value); 4] {
    [
        ("skills/list", json!({})),
        ("resources/list", json!({})),
        ("prompts/list", json!({})),
        ("resources/directory/read", json!({"uri": DATA})),
    ]
}

impl Setup {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let (mine, theirs) = (db.tenant("mine").await, db.tenant("theirs").await);
        for tenant in [mine, theirs] {
            publish_many(&db, tenant, 110).await;
            with_a_wide_folder(&db, tenant).await;
        }
        Self {
            service: db.service(),
            my_key: db.full_key(mine).await,
            their_key: db.full_key(theirs).await,
            mine,
            db,
        }
    }
}

fn with_cursor(params: &Value, cursor: &str) -> Value {
    let mut params = params.clone();
    params["cursor"] = cursor.into();
    params
}

async fn first_cursors(client: &mut WireClient) -> Vec<String> {
    let mut cursors = Vec::new();
    for (method, params) in paged() {
        let page = client.ok(method, params).await;
        cursors.push(page["nextCursor"].as_str().unwrap().to_owned());
    }
    cursors
}

async fn assert_rejected(client: &mut WireClient, method: &str, params: Value) {
    let error = client.error(method, params).await;
    assert_eq!(error["code"], -32_602, "{method}: {error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("cursor"), "{method}: {message}");
    assert!(message.len() < 300, "{method}: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cursor_of_other_tenant_list_or_folder_is_rejected() {
    let setup = Setup::new().await;
    for transport in TRANSPORTS {
        let mut me = WireClient::connect(&setup.service, &setup.my_key, transport).await;
        let mut them = WireClient::connect(&setup.service, &setup.their_key, transport).await;
        let (mine, theirs) = (first_cursors(&mut me).await, first_cursors(&mut them).await);
        for (number, (method, params)) in paged().into_iter().enumerate() {
            for (other, cursor) in mine.iter().enumerate() {
                let params = with_cursor(&params, cursor);
                if other == number {
                    me.ok(method, params).await;
                } else {
                    assert_rejected(&mut me, method, params).await;
                }
            }
            assert_rejected(&mut me, method, with_cursor(&params, &theirs[number])).await;
        }
        // The same method, but another folder or version.
        for uri in ["skill://wide/1/wide", "skill://wide/2/wide/data"] {
            let params = json!({"uri": uri, "cursor": mine[3]});
            assert_rejected(&mut me, "resources/directory/read", params).await;
        }
        // Lists with one page accept no cursor.
        for method in ["tools/list", "resources/templates/list"] {
            assert_rejected(&mut me, method, json!({"cursor": mine[0]})).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_cursor_is_rejected_not_read_as_first_page() {
    let setup = Setup::new().await;
    let huge = "A".repeat(1 << 20);
    for transport in TRANSPORTS {
        let mut me = WireClient::connect(&setup.service, &setup.my_key, transport).await;
        for (method, params) in paged() {
            for cursor in [
                "",
                "1",
                "null",
                "../..",
                "' OR 1=1 --",
                "a\u{0}b",
                "ü",
                huge.as_str(),
            ] {
                assert_rejected(&mut me, method, with_cursor(&params, cursor)).await;
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Mutation {
    Truncate(prop::sample::Index),
    TruncateStart(prop::sample::Index),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, char),
    Swap(prop::sample::Index, prop::sample::Index),
    Repeat,
}

impl Mutation {
    fn any() -> impl Strategy<Value = Self> {
        let index = any::<prop::sample::Index>;
        prop_oneof![
            index().prop_map(Self::Truncate),
            index().prop_map(Self::TruncateStart),
            (index(), 0_u8..7).prop_map(|(at, bit)| Self::Flip(at, bit)),
            (index(), "[A-Za-z0-9_=+/ -]")
                .prop_map(|(at, text)| Self::Insert(at, text.chars().next().unwrap())),
            (index(), index()).prop_map(|(one, other)| Self::Swap(one, other)),
            Just(Self::Repeat),
        ]
    }

    fn apply(&self, cursor: &str) -> String {
        let mut chars: Vec<char> = cursor.chars().collect();
        match self {
            Self::Truncate(at) => chars.truncate(at.index(chars.len())),
            Self::TruncateStart(at) => drop(chars.drain(..=at.index(chars.len()))),
            Self::Flip(at, bit) => {
                let at = at.index(chars.len());
                chars[at] = char::from(u8::try_from(chars[at]).unwrap() ^ (1 << bit));
            }
            Self::Insert(at, c) => chars.insert(at.index(chars.len() + 1), *c),
            Self::Swap(one, other) => {
                let (one, other) = (one.index(chars.len()), other.index(chars.len()));
                chars.swap(one, other);
            }
            Self::Repeat => chars.extend(cursor.chars()),
        }
        chars.into_iter().collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_cursor_is_never_accepted() {
    let setup = Setup::new().await;
    let mut me = WireClient::connect(&setup.service, &setup.my_key, Transport::InMemory).await;
    let cursors = first_cursors(&mut me).await;
    let me = RefCell::new(me);
    let mut runner = TestRunner::new(Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    });
    let strategy = (0..cursors.len(), Mutation::any());
    let run = runner.run(&strategy, |(number, mutation)| {
        let cursor = mutation.apply(&cursors[number]);
        prop_assume!(cursor != cursors[number]);
        let (method, params) = &paged()[number];
        let answer = tokio::task::block_in_place(|| {
            let mut me = me.borrow_mut();
            let response = async { me.request(method, with_cursor(params, &cursor)).await.result };
            tokio::runtime::Handle::current().block_on(response)
        });
        match answer {
            Err(error) => prop_assert_eq!(&error["code"], -32_602, "{}: {}", cursor, error),
            Ok(page) => prop_assert!(false, "{cursor} was accepted: {page}"),
        }
        Ok(())
    });
    run.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn search_accepts_its_own_cursor_only() {
    let setup = Setup::new().await;
    let me = Client::connect(&setup.service, &setup.my_key).await;
    let them = Client::connect(&setup.service, &setup.their_key).await;
    let mut client = WireClient::connect(&setup.service, &setup.my_key, Transport::InMemory).await;
    let of_a_list = first_cursors(&mut client).await;
    let all = json!({"limit": 20});
    let query = json!({"limit": 20, "query": "many"});
    let own = me.ok("search_skills", all.clone()).await["next_cursor"].clone();
    let ranked = me.ok("search_skills", query.clone()).await["next_cursor"].clone();
    let theirs = them.ok("search_skills", all.clone()).await["next_cursor"].clone();
    let own = own.as_str().unwrap();
    let next = me.ok("search_skills", with_cursor(&all, own)).await;
    assert_eq!(next["hits"].as_array().unwrap().len(), 20);
    let before = setup.db.events(setup.mine).await.len();
    let truncated = &own[..own.len() - 1];
    let invalid = [
        with_cursor(&all, theirs.as_str().unwrap()),
        with_cursor(&all, truncated),
        with_cursor(&all, &of_a_list[0]),
        with_cursor(&all, ranked.as_str().unwrap()),
        with_cursor(&query, own),
        with_cursor(&json!({"tag": "red"}), own),
        with_cursor(&json!({"author": "ada"}), own),
        with_cursor(&json!({"category": "text"}), own),
        with_cursor(&json!({"query": "more"}), ranked.as_str().unwrap()),
    ];
    let count = invalid.len();
    for arguments in invalid {
        let message = me.error("search_skills", arguments.clone()).await;
        assert!(message.contains("cursor"), "{arguments}: {message}");
    }
    let events = setup.db.events(setup.mine).await.split_off(before);
    let expected = ("search_skills".to_owned(), "invalid_arguments".to_owned());
    assert_eq!(events, vec![expected; count]);
    // A list does not accept the cursor of a search.
    assert_rejected(&mut client, "skills/list", json!({"cursor": own})).await;
}

//! Creates the tests' databases ahead of their use and drops them afterwards, in one thread with one connection.

use std::collections::VecDeque;
use std::sync::OnceLock;

use skillkeep::db::provision::provision_database;
use skillkeep::db::{connect_owner, migrations};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::Client;

use super::Cluster;

/// Databases that are kept ready, so that a test rarely waits for one.
const READY: usize = 2;
/// Protects against crashes of the machine only, and the run's cluster need not survive one.
const SETTING: &str = "ALTER SYSTEM SET full_page_writes = off";

enum Command {
    Take(oneshot::Sender<String>),
    Drop(String),
}

/// Returns the name of a new database.
pub(super) async fn take() -> String {
    let (reply, name) = oneshot::channel();
    assert!(commands().send(Command::Take(reply)).is_ok(), "{STOPPED}");
    name.await.expect(STOPPED)
}

/// Drops a database later.
pub(super) fn discard(name: String) {
    let sent = commands().send(Command::Drop(name));
    assert!(sent.is_ok() || std::thread::panicking(), "{STOPPED}");
}

const STOPPED: &str = "the thread that creates the databases failed; its panic is above";

fn commands() -> &'static mpsc::UnboundedSender<Command> {
    static COMMANDS: OnceLock<mpsc::UnboundedSender<Command>> = OnceLock::new();
    COMMANDS.get_or_init(|| {
        // Here, so that a missing PostgreSQL is reported by the test itself.
        let _started = Cluster::get();
        let (sender, receiver) = mpsc::unbounded_channel();
        // Not a task: each test has its own runtime, which ends with the test.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(serve(receiver));
        });
        sender
    })
}

async fn serve(mut commands: mpsc::UnboundedReceiver<Command>) {
    let superuser = connect_owner(&Cluster::get().superuser("postgres"))
        .await
        .unwrap();
    prepare(&superuser).await;
    let mut created = 0;
    let mut ready: VecDeque<String> = VecDeque::new();
    loop {
        let command = match commands.try_recv() {
            Ok(command) => command,
            Err(_) if ready.len() < READY => {
                ready.push_back(create(&superuser, &mut created).await);
                continue;
            }
            Err(_) => match commands.recv().await {
                Some(command) => command,
                None => return,
            },
        };
        match command {
            Command::Take(reply) => {
                let name = match ready.pop_front() {
                    Some(name) => name,
                    None => create(&superuser, &mut created).await,
                };
                // A test that was cancelled meanwhile leaves it to the next.
                if let Err(name) = reply.send(name) {
                    ready.push_back(name);
                }
            }
            Command::Drop(name) => drop_database(&superuser, &name).await,
        }
    }
}

async fn create(superuser: &Client, created: &mut u32) -> String {
    let name = format!("skillkeep_t{}_{created}", std::process::id());
    *created += 1;
    let statement = format!(
        "CREATE DATABASE {name} TEMPLATE {} OWNER skillkeep_owner",
        template_name()
    );
    superuser.batch_execute(&statement).await.unwrap();
    name
}

async fn drop_database(superuser: &Client, name: &str) {
    let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    superuser.batch_execute(&statement).await.unwrap();
}

/// Configures the cluster, removes what earlier runs left, and creates the template. The template is new in each run, because
/// the migrations may have changed.
async fn prepare(superuser: &Client) {
    let cluster = Cluster::get();
    if !cluster.is_shared() {
        superuser.batch_execute(SETTING).await.unwrap();
        superuser.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let left = superuser
            .query(
                "SELECT datname FROM pg_database WHERE datname LIKE 'skillkeep_t%'",
                &[],
            )
            .await;
        for row in left.unwrap() {
            drop_database(superuser, row.get(0)).await;
        }
    }
    let name = template_name();
    let ways = provision_database(&cluster.superuser("postgres"), &name)
        .await
        .unwrap();
    let mut owner = connect_owner(&ways.owner).await.unwrap();
    migrations::apply(&mut owner).await.unwrap();
    // Set by `tests/mutation/run`, which checks that the tests notice what is missing.
    if let Ok(mutation) = std::env::var("SKILLKEEP_MUTATION") {
        let superuser = connect_owner(&cluster.superuser(&name)).await.unwrap();
        superuser.batch_execute(&mutation).await.unwrap();
    }
}

/// Concurrent runs of different sources each have their own template.
fn template_name() -> String {
    format!("skillkeep_template_{}", std::process::id())
}

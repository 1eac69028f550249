//! The cost of the protocol: the same work as tool calls over HTTP, and as a pgbench script on the same cluster.
//!
//! A call verifies its API key, sets the tenant, reads a skill (three queries), inserts the usage event and commits. It is executed by
//! `skillkeep serve` of this build, and by pgbench: in the three pipelined round trips of the server, and statement after statement.
//! The variants alternate within one run, because the speed of the machine may change. The last table shows where the time of a
//! call is spent.
//!
//! `SKILLKEEP_BENCH_SECONDS` is the duration of one measurement (default 5), `SKILLKEEP_BENCH_ROUNDS` the number of rounds (default 2).
//! pgbench is searched for in `SKILLKEEP_PG_BIN`, in Debian's folders and on the `PATH`.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark prints its results and may panic"
)]

#[path = "calls/fixture.rs"]
mod fixture;
#[path = "calls/in_process.rs"]
mod in_process;
#[path = "calls/load.rs"]
mod load;
#[path = "calls/pgbench.rs"]
mod pgbench;

use std::error::Error;
use std::time::Duration;

use fixture::{Fixture, number};
use load::{Measurement, Post, http};
use pgbench::Style;

type BenchResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

const SKILL: &str = "debug-flaky-test";
const CLIENTS: [usize; 3] = [1, 8, 32];

#[tokio::main]
async fn main() -> BenchResult<()> {
    let duration = Duration::from_secs(number("SKILLKEEP_BENCH_SECONDS", 5)?);
    let rounds = number("SKILLKEEP_BENCH_ROUNDS", 2)?;
    let fixture = Fixture::new().await?;
    let result = measure(&fixture, duration, rounds).await;
    fixture.close()?;
    result
}

async fn measure(fixture: &Fixture, duration: Duration, rounds: u64) -> BenchResult<()> {
    let get_skill = Post::tool(fixture, "get_skill", &format!(r#"{{"skill":"{SKILL}"}}"#));
    // Opens the connections, prepares the statements, and stores the event that pgbench copies.
    http(&get_skill, 32, Duration::from_secs(1)).await?;
    let event = fixture.newest_event().await?;
    println!(
        "One call: verify the API key, set the tenant, read a skill (3 queries), insert the event, commit. {rounds} rounds of {duration:?}."
    );
    println!("http: POST /mcp, tools/call get_skill, to `skillkeep serve --connections 32` with keep-alive.");
    println!("pgbench, pipelined: -M prepared, same socket and role, in the server's 3 round trips.");
    println!("pgbench, sequential: the same statements, one round trip each.");
    println!(
        "Differences: pgbench sends the 4 statements of the begin separately, not as one text; it writes the absent"
    );
    println!(
        "version and other NULLs as literals, creates the event's id in SQL, and discards the rows unread.\n"
    );
    println!(
        "{:>7}  {:<20} {:>8} {:>9} {:>9}  http/pgbench",
        "clients", "", "tps", "p50 ms", "p99 ms"
    );
    for clients in CLIENTS {
        let (mut over_http, mut pipelined, mut sequential) =
            <(Measurement, Measurement, Measurement)>::default();
        for _ in 0..rounds {
            over_http.add(http(&get_skill, clients, duration).await?);
            pipelined.add(pgbench::run(fixture, &event, Style::Pipelined, clients, duration).await?);
            sequential.add(pgbench::run(fixture, &event, Style::Sequential, clients, duration).await?);
        }
        over_http.print(clients, "http", None);
        pipelined.print(clients, "pgbench, pipelined", Some(over_http.tps()));
        sequential.print(clients, "pgbench, sequential", Some(over_http.tps()));
    }
    println!("\nTime per layer, from the outside in");
    println!(
        "{:>7}  {:<20} {:>8} {:>9} {:>9}",
        "clients", "", "tps", "p50 ms", "p99 ms"
    );
    for clients in [1, 8] {
        let part = duration.min(Duration::from_secs(3));
        for (name, post) in [
            ("healthz", Post::get("/healthz", fixture)),
            ("401, no key", Post::message(fixture, "ping", None).without_key()),
            ("ping", Post::message(fixture, "ping", None)),
            ("whoami", Post::tool(fixture, "whoami", "{}")),
            ("get_skill", get_skill.clone()),
        ] {
            http(&post, clients, part).await?.print(clients, name, None);
        }
        in_process::over_duplex(fixture, clients, part)
            .await?
            .print(clients, "same, no HTTP", None);
        in_process::transaction(fixture, clients, part, true)
            .await?
            .print(clients, "its SQL, pipelined", None);
        in_process::transaction(fixture, clients, part, false)
            .await?
            .print(clients, "its SQL, sequential", None);
    }
    Ok(())
}

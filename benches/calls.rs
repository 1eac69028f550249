//! What the protocol costs: the same work as tool calls over HTTP, and as a pgbench script on the same cluster.
//!
//! The work of a call is to check its key, set the tenant, read a skill (three queries), insert the usage event and
//! commit. It is done by `skillkeep serve`, the program of this build, and by pgbench: in the same three flights as the
//! server sends (pipelined), and statement after statement. All in one run, in turns, because the machine's speed may
//! change meanwhile. Afterwards: where the time of a call goes.
//!
//! `SKILLKEEP_BENCH_SECONDS` is the length of one measurement (5), `SKILLKEEP_BENCH_ROUNDS` the number of turns (2).
//! pgbench is looked for in `SKILLKEEP_PG_BIN`, in Debian's folders and on the `PATH`.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark prints, and should stop at once where something is not as expected"
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

use fixture::{Place, number};
use load::{Measured, Post, http};
use pgbench::Style;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const SKILL: &str = "debug-flaky-test";
const CLIENTS: [usize; 3] = [1, 8, 32];

#[tokio::main]
async fn main() -> Outcome<()> {
    let length = Duration::from_secs(number("SKILLKEEP_BENCH_SECONDS", 5)?);
    let rounds = number("SKILLKEEP_BENCH_ROUNDS", 2)?;
    let place = Place::new().await?;
    let outcome = measure(&place, length, rounds).await;
    place.close()?;
    outcome
}

async fn measure(place: &Place, length: Duration, rounds: u64) -> Outcome<()> {
    let get_skill = Post::tool(place, "get_skill", &format!(r#"{{"skill":"{SKILL}"}}"#));
    // Fills the server's connections and their prepared statements, and leaves the event that pgbench imitates.
    http(&get_skill, 32, Duration::from_secs(1)).await?;
    let event = place.newest_event().await?;
    println!(
        "One call: key check, tenant setting, a skill in three queries, event, commit. {length:?} a measurement, {rounds} rounds."
    );
    println!(
        "http: POST /mcp tools/call get_skill to `skillkeep serve --connections 32`, connections kept alive."
    );
    println!(
        "pgbench, in flights: -M prepared on the same socket as the same role, pipelined in the server's three flights."
    );
    println!("pgbench, one by one: the same statements, each waiting for its answer.");
    println!(
        "They differ: pgbench sends the four opening statements as four where the server sends one text, writes the"
    );
    println!(
        "absent version and other NULLs as literals, makes the event's id in SQL, and throws the rows away unread.\n"
    );
    println!(
        "{:>7}  {:<20} {:>8} {:>9} {:>9}  http/pgbench",
        "clients", "", "tps", "p50 ms", "p99 ms"
    );
    for clients in CLIENTS {
        let (mut over_http, mut flights, mut one_by_one) = <(Measured, Measured, Measured)>::default();
        for _ in 0..rounds {
            over_http.add(http(&get_skill, clients, length).await?);
            flights.add(pgbench::run(place, &event, Style::InFlights, clients, length).await?);
            one_by_one.add(pgbench::run(place, &event, Style::OneByOne, clients, length).await?);
        }
        over_http.print(clients, "http", None);
        flights.print(clients, "pgbench, in flights", Some(over_http.tps()));
        one_by_one.print(clients, "pgbench, one by one", Some(over_http.tps()));
    }
    println!("\nWhere the time goes, from the outside in");
    println!(
        "{:>7}  {:<20} {:>8} {:>9} {:>9}",
        "clients", "", "tps", "p50 ms", "p99 ms"
    );
    for clients in [1, 8] {
        let part = length.min(Duration::from_secs(3));
        for (name, post) in [
            ("healthz", Post::get("/healthz", place)),
            ("401, no key", Post::message(place, "ping", None).without_key()),
            ("ping", Post::message(place, "ping", None)),
            ("whoami", Post::tool(place, "whoami", "{}")),
            ("get_skill", get_skill.clone()),
        ] {
            http(&post, clients, part).await?.print(clients, name, None);
        }
        in_process::over_duplex(place, clients, part)
            .await?
            .print(clients, "same, no HTTP", None);
        in_process::transaction(place, clients, part, true).await?.print(
            clients,
            "its SQL, in flights",
            None,
        );
        in_process::transaction(place, clients, part, false).await?.print(
            clients,
            "its SQL, one by one",
            None,
        );
    }
    Ok(())
}

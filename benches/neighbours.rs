//! What one tenant's flood costs the others, and whether answers take longer for what another tenant has.
//!
//! `skillkeep serve` of this build with its own database. Four tenants each send 10 calls a second (`get_skill`, one connection
//! each, at fixed times, so that an answer that is late is measured as late). A fifth has a limit of 600 calls a minute, and
//! sends 50 times as many: 500 a second over 16 connections. The four are measured without it and with it, in turns of one run:
//! the same calls at the same pace. With `SKILLKEEP_BENCH_UNLIMITED=1` the fifth has no limit, to show what the limit is for.
//!
//! The second part asks in turns for a skill that another tenant has and for one that nobody has.
//!
//! `SKILLKEEP_BENCH_SECONDS` is the length of one measurement (10), `SKILLKEEP_BENCH_ROUNDS` the number of turns (3).
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark prints, and should stop at once where something is not as expected"
)]
#![allow(dead_code, reason = "place and load serve the benchmark of calls as well")]

#[path = "calls/fixture.rs"]
mod fixture;
#[path = "calls/load.rs"]
mod load;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fixture::{Place, number};
use load::{Post, http};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const QUIET: usize = 4;
const PACE: Duration = Duration::from_millis(100);
const LIMIT_A_MINUTE: u64 = 600;
const TIMES: u64 = 50;
const FLOODERS: u32 = 16;
const SKILL: &str = "debug-flaky-test";

#[tokio::main]
async fn main() -> Outcome<()> {
    let length = Duration::from_secs(number("SKILLKEEP_BENCH_SECONDS", 10)?);
    let rounds = number("SKILLKEEP_BENCH_ROUNDS", 3)?;
    let place = Place::new().await?;
    let outcome = measure(&place, length, rounds).await;
    place.close()?;
    outcome
}

/// A tenant with the samples; a key of it.
fn tenant(place: &Place, slug: &str) -> Outcome<String> {
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    place.admin(&["tenant", "create", slug])?;
    place.admin(&["import", samples, "--tenant", slug])?;
    place.admin(&["key", "create", "--user", "bench@example.com", "--tenant", slug])
}

struct Client {
    http: reqwest::Client,
    url: String,
    key: String,
}

impl Client {
    fn new(place: &Place, key: &str) -> Self {
        Self {
            http: reqwest::Client::new(),
            url: format!("http://127.0.0.1:{}/mcp", place.port),
            key: key.to_owned(),
        }
    }

    /// One call; its status.
    async fn call(&self, skill: &str) -> Outcome<u16> {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"get_skill","arguments":{{"skill":"{skill}"}}}}}}"#
        );
        let answer = self
            .http
            .post(&self.url)
            .bearer_auth(&self.key)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await?;
        let status = answer.status().as_u16();
        answer.bytes().await?;
        Ok(status)
    }
}

/// Calls at fixed times; how long each took from the time at which it was due.
async fn paced(client: &Client, pace: Duration, length: Duration) -> Outcome<Vec<u64>> {
    let begun = Instant::now();
    let mut took_us = Vec::new();
    let mut due = begun;
    while due.duration_since(begun) < length {
        tokio::time::sleep_until(due.into()).await;
        let status = client.call(SKILL).await?;
        if status != 200 {
            return Err(format!("a quiet tenant got {status}").into());
        }
        took_us.push(due.elapsed().as_micros() as u64);
        due += pace;
    }
    Ok(took_us)
}

async fn quiet(place: &Place, keys: &[String], length: Duration) -> Outcome<Vec<u64>> {
    let all = keys
        .iter()
        .map(|key| Client::new(place, key))
        .map(|client| async move { paced(&client, PACE, length).await });
    let mut took_us = Vec::new();
    for result in futures::future::join_all(all).await {
        took_us.extend(result?);
    }
    Ok(took_us)
}

#[derive(Default)]
struct Flood {
    sent: AtomicU64,
    served: AtomicU64,
    refused: AtomicU64,
    stop: AtomicBool,
}

async fn flood(place: &Place, key: &str, flood: &Arc<Flood>) -> Vec<tokio::task::JoinHandle<()>> {
    let pace = Duration::from_secs(60) * FLOODERS / u32::try_from(LIMIT_A_MINUTE * TIMES).unwrap_or(u32::MAX);
    (0..FLOODERS)
        .map(|number| {
            let (client, flood) = (Client::new(place, key), Arc::clone(flood));
            tokio::spawn(async move {
                let mut due = Instant::now() + pace * number / FLOODERS;
                while !flood.stop.load(Ordering::Relaxed) {
                    tokio::time::sleep_until(due.into()).await;
                    flood.sent.fetch_add(1, Ordering::Relaxed);
                    match client.call(SKILL).await {
                        Ok(200) => flood.served.fetch_add(1, Ordering::Relaxed),
                        _ => flood.refused.fetch_add(1, Ordering::Relaxed),
                    };
                    due = (due + pace).max(Instant::now().checked_sub(pace).unwrap_or(due));
                }
            })
        })
        .collect()
}

fn quantile(sorted_us: &[u64], q: f64) -> f64 {
    let at = (sorted_us.len().saturating_sub(1) as f64 * q) as usize;
    sorted_us.get(at).map_or(f64::NAN, |us| *us as f64 / 1000.0)
}

fn print(name: &str, took_us: &mut [u64]) -> f64 {
    took_us.sort_unstable();
    let p99 = quantile(took_us, 0.99);
    println!(
        "{name:<34} {:>7} {:>9.3} {p99:>9.3} {:>9.3}",
        took_us.len(),
        quantile(took_us, 0.5),
        quantile(took_us, 1.0)
    );
    p99
}

async fn measure(place: &Place, length: Duration, rounds: u64) -> Outcome<()> {
    let keys = (0..QUIET)
        .map(|number| tenant(place, &format!("quiet-{number}")))
        .collect::<Outcome<Vec<String>>>()?;
    let noisy = tenant(place, "noisy")?;
    let limited = std::env::var_os("SKILLKEEP_BENCH_UNLIMITED").is_none();
    if limited {
        place.admin(&[
            "tenant",
            "set",
            "noisy",
            "--calls-per-minute",
            &LIMIT_A_MINUTE.to_string(),
        ])?;
    }
    println!("{QUIET} tenants with 10 calls a second each; {length:?} a measurement, {rounds} rounds.");
    let limit = if limited { "600 calls a minute" } else { "no limit" };
    println!("A fifth with {limit} sends 500 a second.\n");
    println!(
        "{:<34} {:>7} {:>9} {:>9} {:>9}",
        "the four", "calls", "p50 ms", "p99 ms", "max ms"
    );
    // Fills connections and caches.
    quiet(place, &keys, Duration::from_secs(2)).await?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let noise = Arc::new(Flood::default());
    for _ in 0..rounds {
        alone.extend(quiet(place, &keys, length).await?);
        noise.stop.store(false, Ordering::Relaxed);
        let flooders = flood(place, &noisy, &noise).await;
        // The first second is the call_limits that had filled up meanwhile.
        tokio::time::sleep(Duration::from_secs(2)).await;
        beside.extend(quiet(place, &keys, length).await?);
        noise.stop.store(true, Ordering::Relaxed);
        for flooder in flooders {
            flooder.await?;
        }
    }
    let p99_alone = print("alone", &mut alone);
    let p99_beside = print("beside the flood", &mut beside);
    println!("p99 beside / alone: {:.2}", p99_beside / p99_alone);
    println!(
        "The fifth sent {}, of which {} were served and {} refused.",
        noise.sent.load(Ordering::Relaxed),
        noise.served.load(Ordering::Relaxed),
        noise.refused.load(Ordering::Relaxed)
    );
    timing(place, &keys[0]).await
}

/// The same question about what another tenant has and about what nobody has, in turns.
async fn timing(place: &Place, key: &str) -> Outcome<()> {
    const QUESTIONS: usize = 3000;
    let folder = place.scratch()?.join("only-theirs");
    std::fs::create_dir_all(&folder)?;
    let text = "---\nname: only-theirs\ndescription: Is theirs alone.\n---\n\n# Theirs\n\nDo it.\n";
    std::fs::write(folder.join("SKILL.md"), text)?;
    place.admin(&["import", &folder.display().to_string(), "--tenant", "noisy"])?;
    let client = Client::new(place, key);
    let (mut foreign, mut absent) = (Vec::new(), Vec::new());
    for number in 0..QUESTIONS * 2 {
        let (skill, took_us) = if number % 2 == 0 {
            ("only-theirs", &mut foreign)
        } else {
            ("only-nobody", &mut absent)
        };
        let begun = Instant::now();
        client.call(skill).await?;
        took_us.push(begun.elapsed().as_micros() as u64);
    }
    println!(
        "\n{:<34} {:>7} {:>9} {:>9} {:>9}",
        "get_skill of a skill that", "calls", "p50 ms", "p99 ms", "max ms"
    );
    print("another tenant has", &mut foreign);
    print("nobody has", &mut absent);
    println!(
        "p50 foreign / absent: {:.3}",
        quantile(&foreign, 0.5) / quantile(&absent, 0.5)
    );
    Ok(())
}

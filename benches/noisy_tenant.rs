//! How much one tenant's flood of requests slows down other tenants, and whether response times reveal another tenant's skills.
//!
//! Part 1 runs `skillkeep serve` of this build with its own database. Four quiet tenants each send 10 `get_skill` calls per second on
//! one connection, at fixed times; latency counts from the time at which a call was due. A fifth, noisy tenant has a limit of 600 calls
//! per minute and sends 50 times as many: 500 per second on 16 connections. The latencies of the quiet tenants are measured with and
//! without the flood, alternating in one run. `SKILLKEEP_BENCH_UNLIMITED=1` removes the limit, to show its effect.
//!
//! Part 2 alternates requests for a skill that another tenant has and for one that does not exist.
//!
//! `SKILLKEEP_BENCH_SECONDS` is the duration of one measurement (default 10), `SKILLKEEP_BENCH_ROUNDS` the number of rounds
//! (default 3).
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark prints its results and may panic"
)]
#![allow(dead_code, reason = "the benchmark `calls` shares fixture and load")]

#[path = "calls/fixture.rs"]
mod fixture;
#[path = "calls/load.rs"]
mod load;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fixture::{Fixture, number};
use load::{Post, http};

type BenchResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

const QUIET_TENANTS: usize = 4;
const CALL_INTERVAL: Duration = Duration::from_millis(100);
const CALLS_PER_MINUTE_LIMIT: u64 = 600;
const FLOOD_FACTOR: u64 = 50;
const FLOOD_CONNECTIONS: u32 = 16;
const SKILL: &str = "debug-flaky-test";

#[tokio::main]
async fn main() -> BenchResult<()> {
    let duration = Duration::from_secs(number("SKILLKEEP_BENCH_SECONDS", 10)?);
    let rounds = number("SKILLKEEP_BENCH_ROUNDS", 3)?;
    let fixture = Fixture::new().await?;
    let result = measure(&fixture, duration, rounds).await;
    fixture.close()?;
    result
}

/// Creates a tenant with the sample skills, and returns an API key.
fn create_tenant(fixture: &Fixture, slug: &str) -> BenchResult<String> {
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    fixture.admin(&["tenant", "create", slug])?;
    fixture.admin(&["import", samples, "--tenant", slug])?;
    fixture.admin(&["key", "create", "--user", "bench@example.com", "--tenant", slug])
}

struct Client {
    http: reqwest::Client,
    url: String,
    key: String,
}

impl Client {
    fn new(fixture: &Fixture, key: &str) -> Self {
        Self {
            http: reqwest::Client::new(),
            url: format!("http://127.0.0.1:{}/mcp", fixture.port),
            key: key.to_owned(),
        }
    }

    /// Makes a call and returns the HTTP status.
    async fn call(&self, skill: &str) -> BenchResult<u16> {
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

/// Makes calls at fixed times, and returns the latency of each since it was due.
async fn call_at_fixed_times(
    client: &Client,
    interval: Duration,
    duration: Duration,
) -> BenchResult<Vec<u64>> {
    let started = Instant::now();
    let mut latencies_us = Vec::new();
    let mut due = started;
    while due.duration_since(started) < duration {
        tokio::time::sleep_until(due.into()).await;
        let status = client.call(SKILL).await?;
        if status != 200 {
            return Err(format!("a quiet tenant got {status}").into());
        }
        latencies_us.push(due.elapsed().as_micros() as u64);
        due += interval;
    }
    Ok(latencies_us)
}

async fn measure_quiet_tenants(
    fixture: &Fixture,
    keys: &[String],
    duration: Duration,
) -> BenchResult<Vec<u64>> {
    let all = keys
        .iter()
        .map(|key| Client::new(fixture, key))
        .map(|client| async move { call_at_fixed_times(&client, CALL_INTERVAL, duration).await });
    let mut latencies_us = Vec::new();
    for result in futures::future::join_all(all).await {
        latencies_us.extend(result?);
    }
    Ok(latencies_us)
}

#[derive(Default)]
struct Flood {
    sent: AtomicU64,
    served: AtomicU64,
    rejected: AtomicU64,
    stop: AtomicBool,
}

async fn start_flood(fixture: &Fixture, key: &str, flood: &Arc<Flood>) -> Vec<tokio::task::JoinHandle<()>> {
    let interval = Duration::from_secs(60) * FLOOD_CONNECTIONS
        / u32::try_from(CALLS_PER_MINUTE_LIMIT * FLOOD_FACTOR).unwrap_or(u32::MAX);
    (0..FLOOD_CONNECTIONS)
        .map(|number| {
            let (client, flood) = (Client::new(fixture, key), Arc::clone(flood));
            tokio::spawn(async move {
                let mut due = Instant::now() + interval * number / FLOOD_CONNECTIONS;
                while !flood.stop.load(Ordering::Relaxed) {
                    tokio::time::sleep_until(due.into()).await;
                    flood.sent.fetch_add(1, Ordering::Relaxed);
                    match client.call(SKILL).await {
                        Ok(200) => flood.served.fetch_add(1, Ordering::Relaxed),
                        _ => flood.rejected.fetch_add(1, Ordering::Relaxed),
                    };
                    due = (due + interval).max(Instant::now().checked_sub(interval).unwrap_or(due));
                }
            })
        })
        .collect()
}

fn quantile(sorted_us: &[u64], q: f64) -> f64 {
    let at = (sorted_us.len().saturating_sub(1) as f64 * q) as usize;
    sorted_us.get(at).map_or(f64::NAN, |us| *us as f64 / 1000.0)
}

fn print(name: &str, latencies_us: &mut [u64]) -> f64 {
    latencies_us.sort_unstable();
    let p99 = quantile(latencies_us, 0.99);
    println!(
        "{name:<34} {:>7} {:>9.3} {p99:>9.3} {:>9.3}",
        latencies_us.len(),
        quantile(latencies_us, 0.5),
        quantile(latencies_us, 1.0)
    );
    p99
}

async fn measure(fixture: &Fixture, duration: Duration, rounds: u64) -> BenchResult<()> {
    let keys = (0..QUIET_TENANTS)
        .map(|number| create_tenant(fixture, &format!("quiet-{number}")))
        .collect::<BenchResult<Vec<String>>>()?;
    let noisy = create_tenant(fixture, "noisy")?;
    let limited = std::env::var_os("SKILLKEEP_BENCH_UNLIMITED").is_none();
    if limited {
        fixture.admin(&[
            "tenant",
            "set",
            "noisy",
            "--calls-per-minute",
            &CALLS_PER_MINUTE_LIMIT.to_string(),
        ])?;
    }
    println!("{QUIET_TENANTS} quiet tenants with 10 calls per second each; {rounds} rounds of {duration:?}.");
    let limit = if limited {
        "a limit of 600 calls per minute"
    } else {
        "no limit"
    };
    println!("A noisy tenant with {limit} sends 500 calls per second.\n");
    println!(
        "{:<34} {:>7} {:>9} {:>9} {:>9}",
        "quiet tenants", "calls", "p50 ms", "p99 ms", "max ms"
    );
    // Warms up connections and caches.
    measure_quiet_tenants(fixture, &keys, Duration::from_secs(2)).await?;
    let (mut alone, mut with_flood) = (Vec::new(), Vec::new());
    let flood = Arc::new(Flood::default());
    for _ in 0..rounds {
        alone.extend(measure_quiet_tenants(fixture, &keys, duration).await?);
        flood.stop.store(false, Ordering::Relaxed);
        let tasks = start_flood(fixture, &noisy, &flood).await;
        // At first the flood uses up the calls that the rate limit has accumulated.
        tokio::time::sleep(Duration::from_secs(2)).await;
        with_flood.extend(measure_quiet_tenants(fixture, &keys, duration).await?);
        flood.stop.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await?;
        }
    }
    let p99_alone = print("alone", &mut alone);
    let p99_with_flood = print("with the flood", &mut with_flood);
    println!("p99 with flood / alone: {:.2}", p99_with_flood / p99_alone);
    println!(
        "The noisy tenant sent {} calls: {} succeeded, {} were rejected.",
        flood.sent.load(Ordering::Relaxed),
        flood.served.load(Ordering::Relaxed),
        flood.rejected.load(Ordering::Relaxed)
    );
    compare_response_times(fixture, &keys[0]).await
}

/// Alternates requests for a skill of another tenant and for a missing skill.
async fn compare_response_times(fixture: &Fixture, key: &str) -> BenchResult<()> {
    const REQUESTS: usize = 3000;
    let folder = fixture.scratch()?.join("other-tenant");
    std::fs::create_dir_all(&folder)?;
    let text = "---\nname: other-tenant\ndescription: Of another tenant.\n---\n\n# Steps\n\nDo it.\n";
    std::fs::write(folder.join("SKILL.md"), text)?;
    fixture.admin(&["import", &folder.display().to_string(), "--tenant", "noisy"])?;
    let client = Client::new(fixture, key);
    let (mut other_tenant, mut missing) = (Vec::new(), Vec::new());
    for number in 0..REQUESTS * 2 {
        let (skill, latencies_us) = if number % 2 == 0 {
            ("other-tenant", &mut other_tenant)
        } else {
            ("no-such-name", &mut missing)
        };
        let started = Instant::now();
        client.call(skill).await?;
        latencies_us.push(started.elapsed().as_micros() as u64);
    }
    println!(
        "\n{:<34} {:>7} {:>9} {:>9} {:>9}",
        "get_skill of", "calls", "p50 ms", "p99 ms", "max ms"
    );
    print("another tenant's skill", &mut other_tenant);
    print("a missing skill", &mut missing);
    println!(
        "p50 other tenant / missing: {:.3}",
        quantile(&other_tenant, 0.5) / quantile(&missing, 0.5)
    );
    Ok(())
}

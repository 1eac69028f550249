//! HTTP clients that each send one request after the other, and the latencies.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::BenchResult;
use super::fixture::Fixture;

/// The latencies of one or more runs.
#[derive(Default)]
pub(super) struct Measurement {
    pub(super) latencies_us: Vec<u64>,
    pub(super) duration: Duration,
}

impl Measurement {
    pub(super) fn add(&mut self, other: Self) {
        self.latencies_us.extend(other.latencies_us);
        self.duration += other.duration;
    }

    pub(super) fn tps(&self) -> f64 {
        self.latencies_us.len() as f64 / self.duration.as_secs_f64()
    }

    /// Prints a line of the table. With `http_tps`, its last column is `http_tps` divided by this throughput.
    pub(super) fn print(&mut self, clients: usize, name: &str, http_tps: Option<f64>) {
        self.latencies_us.sort_unstable();
        let quantile = |q: f64| {
            let at = (self.latencies_us.len().saturating_sub(1) as f64 * q) as usize;
            self.latencies_us
                .get(at)
                .map_or(f64::NAN, |us| *us as f64 / 1000.0)
        };
        let ratio = http_tps.map_or_else(String::new, |http| format!("{:.2}", http / self.tps()));
        let (p50, p99) = (quantile(0.5), quantile(0.99));
        println!(
            "{clients:>7}  {name:<20} {:>8.0} {p50:>9.3} {p99:>9.3}  {ratio}",
            self.tps()
        );
    }
}

/// An HTTP request that is sent repeatedly, and the expected status.
#[derive(Clone)]
pub(super) struct Post {
    port: u16,
    head: String,
    key: String,
    body: String,
    status: &'static str,
}

impl Post {
    pub(super) fn message(fixture: &Fixture, method: &str, params: Option<&str>) -> Self {
        let params = params.map_or_else(String::new, |params| format!(r#","params":{params}"#));
        Self {
            port: fixture.port,
            head:
                "POST /mcp HTTP/1.1\r\nContent-Type: application/json\r\nMCP-Protocol-Version: 2025-06-18\r\n\
                   Accept: application/json, text/event-stream\r\nHost: 127.0.0.1\r\n"
                    .to_owned(),
            key: format!("Authorization: Bearer {}\r\n", fixture.key),
            body: format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"{params}}}"#),
            status: "200",
        }
    }

    pub(super) fn tool(fixture: &Fixture, name: &str, arguments: &str) -> Self {
        let params = format!(r#"{{"name":"{name}","arguments":{arguments}}}"#);
        Self::message(fixture, "tools/call", Some(&params))
    }

    pub(super) fn get(path: &str, fixture: &Fixture) -> Self {
        Self {
            port: fixture.port,
            head: format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"),
            key: String::new(),
            body: String::new(),
            status: "200",
        }
    }

    pub(super) fn without_key(mut self) -> Self {
        self.key.clear();
        self.status = "401";
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let length = self.body.len();
        format!(
            "{}{}Content-Length: {length}\r\n\r\n{}",
            self.head, self.key, self.body
        )
        .into_bytes()
    }
}

/// Runs this many clients, each on its own connection.
pub(super) async fn http(post: &Post, clients: usize, duration: Duration) -> BenchResult<Measurement> {
    let started = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|_| tokio::spawn(one_client(post.clone(), started, duration)))
        .collect();
    let mut measurement = Measurement::default();
    for task in tasks {
        measurement.latencies_us.extend(task.await??);
    }
    measurement.duration = started.elapsed();
    Ok(measurement)
}

async fn one_client(post: Post, started: Instant, duration: Duration) -> BenchResult<Vec<u64>> {
    let mut stream = TcpStream::connect(("127.0.0.1", post.port)).await?;
    stream.set_nodelay(true)?;
    let request = post.bytes();
    let mut latencies_us = Vec::new();
    let mut buffer = Vec::with_capacity(1 << 16);
    while started.elapsed() < duration {
        let sent = Instant::now();
        stream.write_all(&request).await?;
        read_response(&mut stream, &mut buffer, post.status).await?;
        latencies_us.push(sent.elapsed().as_micros() as u64);
    }
    Ok(latencies_us)
}

/// Reads an HTTP response. Supports only what the server sends here: `Content-Length`, no chunked encoding.
async fn read_response(stream: &mut TcpStream, buffer: &mut Vec<u8>, status: &str) -> BenchResult<()> {
    buffer.clear();
    let mut total = usize::MAX;
    while buffer.len() < total {
        if stream.read_buf(buffer).await? == 0 {
            return Err("the server closed the connection".into());
        }
        if total == usize::MAX
            && let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let head = std::str::from_utf8(&buffer[..end])?.to_ascii_lowercase();
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .ok_or("the response has no Content-Length")?
                .trim()
                .parse()?;
            total = end + 4 + length;
        }
    }
    let text = String::from_utf8_lossy(buffer);
    let is_ok = text.split(' ').nth(1) == Some(status) && (status != "200" || !text.contains("\"error\":"));
    if is_ok {
        Ok(())
    } else {
        Err(format!("the server answered {text}").into())
    }
}

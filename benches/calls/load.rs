//! Clients that each send one request after the other, and how long the answers took.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Outcome;
use super::fixture::Place;

/// Latencies of the calls of some runs.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) took_us: Vec<u64>,
    pub(super) length: Duration,
}

impl Measured {
    pub(super) fn add(&mut self, other: Self) {
        self.took_us.extend(other.took_us);
        self.length += other.length;
    }

    pub(super) fn tps(&self) -> f64 {
        self.took_us.len() as f64 / self.length.as_secs_f64()
    }

    /// One line of the table; with the throughput of HTTP, its ratio to this one.
    pub(super) fn print(&mut self, clients: usize, name: &str, http_tps: Option<f64>) {
        self.took_us.sort_unstable();
        let quantile = |q: f64| {
            let at = (self.took_us.len().saturating_sub(1) as f64 * q) as usize;
            self.took_us.get(at).map_or(f64::NAN, |us| *us as f64 / 1000.0)
        };
        let ratio = http_tps.map_or_else(String::new, |http| format!("{:.2}", http / self.tps()));
        let (p50, p99) = (quantile(0.5), quantile(0.99));
        println!(
            "{clients:>7}  {name:<20} {:>8.0} {p50:>9.3} {p99:>9.3}  {ratio}",
            self.tps()
        );
    }
}

/// An HTTP request, made once and sent again and again.
#[derive(Clone)]
pub(super) struct Post {
    port: u16,
    head: String,
    key: String,
    body: String,
    status: &'static str,
}

impl Post {
    pub(super) fn message(place: &Place, method: &str, params: Option<&str>) -> Self {
        let params = params.map_or_else(String::new, |params| format!(r#","params":{params}"#));
        Self {
            port: place.port,
            head:
                "POST /mcp HTTP/1.1\r\nContent-Type: application/json\r\nMCP-Protocol-Version: 2025-06-18\r\n\
                   Accept: application/json, text/event-stream\r\nHost: 127.0.0.1\r\n"
                    .to_owned(),
            key: format!("Authorization: Bearer {}\r\n", place.key),
            body: format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"{params}}}"#),
            status: "200",
        }
    }

    pub(super) fn tool(place: &Place, name: &str, arguments: &str) -> Self {
        let params = format!(r#"{{"name":"{name}","arguments":{arguments}}}"#);
        Self::message(place, "tools/call", Some(&params))
    }

    pub(super) fn get(path: &str, place: &Place) -> Self {
        Self {
            port: place.port,
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

/// This many clients, each on a connection of its own, for this long.
pub(super) async fn http(post: &Post, clients: usize, length: Duration) -> Outcome<Measured> {
    let begun = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|_| tokio::spawn(one_client(post.clone(), begun, length)))
        .collect();
    let mut measured = Measured::default();
    for task in tasks {
        measured.took_us.extend(task.await??);
    }
    measured.length = begun.elapsed();
    Ok(measured)
}

async fn one_client(post: Post, begun: Instant, length: Duration) -> Outcome<Vec<u64>> {
    let mut stream = TcpStream::connect(("127.0.0.1", post.port)).await?;
    stream.set_nodelay(true)?;
    let request = post.bytes();
    let mut took_us = Vec::new();
    let mut buffer = Vec::with_capacity(1 << 16);
    while begun.elapsed() < length {
        let sent = Instant::now();
        stream.write_all(&request).await?;
        read_answer(&mut stream, &mut buffer, post.status).await?;
        took_us.push(sent.elapsed().as_micros() as u64);
    }
    Ok(took_us)
}

/// Only as much of HTTP as the server's answers have: a length, and no chunks.
async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>, status: &str) -> Outcome<()> {
    buffer.clear();
    let mut whole = usize::MAX;
    while buffer.len() < whole {
        if stream.read_buf(buffer).await? == 0 {
            return Err("the server closed the connection".into());
        }
        if whole == usize::MAX
            && let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let head = std::str::from_utf8(&buffer[..end])?.to_ascii_lowercase();
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .ok_or("the answer has no length")?
                .trim()
                .parse()?;
            whole = end + 4 + length;
        }
    }
    let text = String::from_utf8_lossy(buffer);
    let is_well = text.split(' ').nth(1) == Some(status) && (status != "200" || !text.contains("\"error\":"));
    if is_well {
        Ok(())
    } else {
        Err(format!("the server answered {text}").into())
    }
}

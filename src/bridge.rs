//! Standard input and output on the laptop, Streamable HTTP to a registry far away: what `skillkeep bridge` runs.
//!
//! Each line is sent as it is, and each reply is passed on as it came, so the bridge speaks every revision that its
//! client and the registry have in common. It holds a key, and nothing of the database.

mod error;
mod http_client;
mod lines;
mod message;
mod remote;
mod session;
mod sse_decoder;

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

pub use self::remote::{Remote, RemoteError, RemoteOptions, address};

use self::lines::{Line, LineReader};
use self::message::Message;
use self::session::Session;

/// The longest message that a client may send, in bytes: as much as over stdio without the bridge.
const MAX_MESSAGE: usize = 16 << 20;
/// Lines that wait for the client to read them.
const UNREAD: usize = 64;

/// Forwards messages between the client at `input` and `output` and the registry, until either end of the client closes.
///
/// Requests in flight at the end of `input` get 5 s. What goes wrong with a message is told to the client in the answer
/// to that message, so nothing that the registry does ends the bridge.
pub async fn run<R, W>(remote: Remote, input: R, output: W)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let drain = remote.patience.drain;
    let (out, said) = mpsc::channel(UNREAD);
    let writer = tokio::spawn(write(output, said));
    let conversation = Arc::new(Session::new(remote, out.clone()));
    let mut lines = LineReader::new(input, MAX_MESSAGE);
    loop {
        let line = tokio::select! {
            biased;
            // The client is gone, and nobody would read an answer.
            () = out.closed() => break,
            line = lines.next() => line,
        };
        match line {
            Ok(Some(Line::Text(text))) => match Message::read(text) {
                Ok(message) => conversation.take(message).await,
                Err(refused) => conversation.say(refused.answer()).await,
            },
            Ok(Some(Line::TooLong)) => conversation.say(message::too_long(MAX_MESSAGE)).await,
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, "stdin broke");
                break;
            }
        }
    }
    conversation.end(drain).await;
    drop((conversation, out));
    if let Err(error) = writer.await {
        tracing::error!(%error, "the writer of stdout ended badly");
    }
}

/// The only writer of the client's stream, so lines never mix.
async fn write(mut output: impl AsyncWrite + Unpin, mut said: mpsc::Receiver<Vec<u8>>) {
    while let Some(mut line) = said.recv().await {
        line.push(b'\n');
        let written = match output.write_all(&line).await {
            Ok(()) => output.flush().await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::info!(%error, "the client reads no more");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::rng;
    use serde_json::Value;
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::ids::TenantId;
    use crate::tenancy::ApiKey;

    /// A peer that takes connections and says this, and then nothing more.
    async fn silent(said: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut open: Vec<TcpStream> = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(said.as_bytes()).await.unwrap();
                open.push(stream);
            }
        });
        format!("http://{address}")
    }

    fn remote(url: &str) -> Remote {
        let options = RemoteOptions {
            url,
            allow_http: false,
            ca_file: None,
        };
        let key = ApiKey::generate(TenantId::new(), &mut rng());
        Remote::new(&options, &key).unwrap()
    }

    #[tokio::test]
    async fn a_registry_that_falls_silent_is_given_up_some_day() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\ncontent-type: ";
        let json: &str = Box::leak(format!("{head}application/json\r\n\r\n{{").into_boxed_str());
        let stream: &str = Box::leak(format!("{head}text/event-stream\r\n\r\n: hi\n\n").into_boxed_str());
        for said in ["", json, stream] {
            let url = silent(said).await;
            let mut remote = remote(&url);
            remote.patience.reply = Duration::from_millis(50);
            remote.patience.stream = Duration::from_millis(50);
            let (mut stdin, input) = tokio::io::duplex(1024);
            let (output, stdout) = tokio::io::duplex(4096);
            let bridge = tokio::spawn(run(remote, input, output));
            let call = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{}}\n";
            stdin.write_all(call).await.unwrap();
            let line = BufReader::new(stdout).lines().next_line().await.unwrap().unwrap();
            let answer: Value = serde_json::from_str(&line).unwrap();
            let words = answer["error"]["message"].to_string();
            assert!(
                words.contains("silent") || words.contains("in time"),
                "{said}: {words}"
            );
            drop(stdin);
            bridge.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_client_that_reads_no_more_ends_the_bridge() {
        let url = silent("").await;
        let remote = remote(&url);
        let (mut stdin, input) = tokio::io::duplex(1024);
        let (output, stdout) = tokio::io::duplex(16);
        let bridge = tokio::spawn(run(remote, input, output));
        stdin
            .write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\nhello\n")
            .await
            .unwrap();
        drop(stdout);
        bridge.await.unwrap();
        drop(stdin);
    }

    #[tokio::test]
    async fn a_subscription_does_not_hold_up_the_end() {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        let told = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\"}\n\n";
        let url = silent(Box::leak(format!("{head}{told}").into_boxed_str())).await;
        let mut remote = remote(&url);
        remote.patience.drain = Duration::from_secs(3600);
        let (mut stdin, input) = tokio::io::duplex(1024);
        let (output, stdout) = tokio::io::duplex(4096);
        let bridge = tokio::spawn(run(remote, input, output));
        let listen = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/listen\"}\n";
        stdin.write_all(listen).await.unwrap();
        let mut lines = BufReader::new(stdout).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        assert!(line.contains("acknowledged"), "{line}");
        drop(stdin);
        let ended = tokio::time::timeout(Duration::from_secs(60), bridge).await;
        ended.expect("the bridge waits for the subscription").unwrap();
        assert_eq!(lines.next_line().await.unwrap(), None);
    }
}

//! The open connections of the server. When their limit is reached, an idle one is closed for a new one, so that idle
//! connections cannot keep anybody out.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::ids::ApiKeyId;

/// Limits of connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionLimits {
    pub(super) total: usize,
    /// Of one address. Not applied to trusted proxies.
    pub(super) per_address: usize,
    /// Whose last request had one API key.
    pub(super) per_key: usize,
}

#[derive(Clone)]
pub(super) struct Connections {
    limits: ConnectionLimits,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    last_id: u64,
    by_id: HashMap<u64, Connection>,
    by_address: HashMap<IpAddr, usize>,
    by_key: HashMap<ApiKeyId, usize>,
}

struct Connection {
    address: IpAddr,
    /// The key of the last request that had a valid one.
    key: Option<ApiKeyId>,
    /// Since when no request is running; `None` while one is.
    idle_since: Option<Instant>,
    has_answered: bool,
    closed: CancellationToken,
}

/// An open connection, removed when it is dropped.
#[derive(Clone)]
pub(super) struct OpenConnection(Arc<Registered>);

struct Registered {
    id: u64,
    closed: CancellationToken,
    per_key: usize,
    open: Arc<Mutex<Open>>,
}

/// Marks a connection as busy until it is dropped.
pub(super) struct RunningRequest(OpenConnection);

impl Connections {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            open: Arc::default(),
        }
    }

    /// Registers a connection. `None` if a limit is reached and none is idle.
    pub(super) fn register(&self, address: IpAddr, is_trusted: bool) -> Option<OpenConnection> {
        let address = subscriber(address);
        let mut open = lock(&self.open);
        let of_address = open.by_address.get(&address).copied().unwrap_or_default();
        if !is_trusted
            && of_address >= self.limits.per_address
            && !open.close_idle(|other| other.address == address)
        {
            return None;
        }
        if open.by_id.len() >= self.limits.total {
            let crowded = open.crowded_address();
            if !open.close_idle(|other| Some(other.address) == crowded) && !open.close_idle(|_| true) {
                return None;
            }
        }
        open.last_id = open.last_id.wrapping_add(1);
        let (id, closed) = (open.last_id, CancellationToken::new());
        open.by_id.insert(
            id,
            Connection {
                address,
                key: None,
                idle_since: Some(Instant::now()),
                has_answered: false,
                closed: closed.clone(),
            },
        );
        *open.by_address.entry(address).or_default() += 1;
        Some(OpenConnection(Arc::new(Registered {
            id,
            closed,
            per_key: self.limits.per_key,
            open: Arc::clone(&self.open),
        })))
    }
}

/// The part of an address that one subscriber has: of IPv6 the first 64 bits (RFC 6177).
fn subscriber(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            IpAddr::V6(network.into())
        }
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Open {
    /// The address with the most connections.
    fn crowded_address(&self) -> Option<IpAddr> {
        let most = self.by_address.iter().max_by_key(|(_, count)| **count);
        most.map(|(address, _)| *address)
    }

    /// Closes the connection that is idle for the longest time, of those that `may_close` accepts; first those without an
    /// answered request. Returns whether there was one.
    fn close_idle(&mut self, may_close: impl Fn(&Connection) -> bool) -> bool {
        let idle = self
            .by_id
            .iter()
            .filter(|(_, connection)| may_close(connection))
            .filter_map(|(id, connection)| Some((connection.has_answered, connection.idle_since?, *id)))
            .min();
        let Some((_, _, id)) = idle else {
            return false;
        };
        if let Some(connection) = self.remove(id) {
            connection.closed.cancel();
        }
        true
    }

    fn remove(&mut self, id: u64) -> Option<Connection> {
        let connection = self.by_id.remove(&id)?;
        subtract(&mut self.by_address, &connection.address);
        if let Some(key) = connection.key {
            subtract(&mut self.by_key, &key);
        }
        Some(connection)
    }
}

fn subtract<K: Eq + Hash>(counts: &mut HashMap<K, usize>, of: &K) {
    if let Some(count) = counts.get_mut(of) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(of);
        }
    }
}

impl OpenConnection {
    /// Resolves when the connection must make room for another.
    pub(super) async fn closed(&self) {
        self.0.closed.cancelled().await;
    }

    /// Counts the connection for the key of its request. Closes the key's longest idle connection if it has too many.
    pub(super) fn authenticated(&self, key: ApiKeyId) {
        let mut open = lock(&self.0.open);
        let Some(connection) = open.by_id.get_mut(&self.0.id) else {
            return;
        };
        let before = connection.key.replace(key);
        if before == Some(key) {
            return;
        }
        if let Some(before) = before {
            subtract(&mut open.by_key, &before);
        }
        let count = open.by_key.entry(key).or_default();
        *count += 1;
        if *count > self.0.per_key {
            // Its running calls and streams have limits of their own.
            let _none_is_idle = open.close_idle(|other| other.key == Some(key));
        }
    }

    /// Marks the connection as busy.
    pub(super) fn begin_request(&self) -> RunningRequest {
        if let Some(connection) = lock(&self.0.open).by_id.get_mut(&self.0.id) {
            connection.idle_since = None;
        }
        RunningRequest(self.clone())
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        drop(lock(&self.open).remove(self.id));
    }
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        let registered = &self.0.0;
        if let Some(connection) = lock(&registered.open).by_id.get_mut(&registered.id) {
            connection.idle_since = Some(Instant::now());
            connection.has_answered = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const TWO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn connections() -> Connections {
        Connections::new(ConnectionLimits {
            total: 3,
            per_address: 2,
            per_key: 1,
        })
    }

    fn is_closed(connection: &OpenConnection) -> bool {
        connection.0.closed.is_cancelled()
    }

    #[test]
    fn new_connection_replaces_the_longest_idle_one_of_its_address() {
        let connections = connections();
        let first = connections.register(ONE, false).unwrap();
        let second = connections.register(ONE, false).unwrap();
        let third = connections.register(ONE, false).unwrap();
        assert!(is_closed(&first) && !is_closed(&second) && !is_closed(&third));
    }

    #[test]
    fn connection_that_was_used_outlives_one_that_was_not() {
        let connections = connections();
        let used = connections.register(ONE, false).unwrap();
        drop(used.begin_request());
        let unused = connections.register(ONE, false).unwrap();
        let _third = connections.register(ONE, false).unwrap();
        assert!(is_closed(&unused) && !is_closed(&used));
    }

    #[test]
    fn full_server_closes_idle_connections_of_the_crowded_address_only() {
        let connections = connections();
        let other = connections.register(TWO, false).unwrap();
        let crowd = [
            connections.register(ONE, true).unwrap(),
            connections.register(ONE, true).unwrap(),
        ];
        let _new = connections.register(TWO, false).unwrap();
        assert!(is_closed(&crowd[0]) && !is_closed(&crowd[1]) && !is_closed(&other));
    }

    #[test]
    fn key_with_too_many_connections_loses_its_longest_idle_one() {
        let connections = connections();
        let (key, other_key) = (ApiKeyId::new(), ApiKeyId::new());
        let [first, other, second] = [ONE, TWO, TWO].map(|address| {
            let connection = connections.register(address, false).unwrap();
            let running = connection.begin_request();
            connection.authenticated(if address == ONE { key } else { other_key });
            drop(running);
            connection
        });
        assert!(is_closed(&other) && !is_closed(&first));
        let running = second.begin_request();
        second.authenticated(key);
        assert!(is_closed(&first) && !is_closed(&second));
        drop(running);
        drop((first, other, second));
        assert!(lock(&connections.open).by_key.is_empty());
    }

    #[test]
    fn running_requests_are_never_closed() {
        let connections = connections();
        let open = [ONE, TWO, TWO].map(|address| connections.register(address, false).unwrap());
        let _running = open.each_ref().map(OpenConnection::begin_request);
        assert!(connections.register(ONE, false).is_none());
        assert!(open.iter().all(|connection| !is_closed(connection)));
    }

    #[test]
    fn closed_connection_frees_its_place() {
        let connections = connections();
        drop(connections.register(ONE, false));
        let open = lock(&connections.open);
        assert!(open.by_id.is_empty() && open.by_address.is_empty() && open.by_key.is_empty());
    }
}

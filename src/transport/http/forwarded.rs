//! The client's address behind reverse proxies, and the path below which a proxy serves the registry.
//!
//! Any client can send `X-Forwarded-For`, so only the entries that trusted proxies added are used: each proxy appends, at the
//! right, the address that it saw. `X-Forwarded-Prefix` is used from a trusted proxy only.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PREFIX: &str = "x-forwarded-prefix";
/// The longest prefix, in bytes.
const MAX_PREFIX: usize = 200;

/// An address, or a network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether the address belongs to the network. An IPv4-mapped IPv6 address counts as the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || {
            format!("\"{text}\" is not an address or network; expected 10.0.0.7 or 10.0.0.0/8, for example")
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let address = address.to_canonical();
        match prefix {
            None => Ok(Self(address.into())),
            Some(prefix) => {
                let prefix = prefix.parse().map_err(|_| invalid())?;
                IpNet::new(address, prefix).map(Self).map_err(|_| invalid())
            }
        }
    }
}

/// The path below which a reverse proxy serves the registry, such as `/skills-registry`. Empty for none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathPrefix(String);

impl PathPrefix {
    /// Empty, or with a slash at the beginning and none at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PathPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.trim_end_matches('/');
        // No character of it has a meaning in a URL, a header or an event.
        let is_segment = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        };
        let is_valid = match path.strip_prefix('/') {
            Some(segments) => path.len() <= MAX_PREFIX && segments.split('/').all(is_segment),
            None => text == "/",
        };
        if is_valid {
            return Ok(Self(path.to_owned()));
        }
        Err(format!(
            "a path prefix begins with / and has letters, digits, -, ., _ and ~, up to {MAX_PREFIX} bytes; for example /skills-registry"
        ))
    }
}

/// Removes `X-Forwarded-Prefix` unless the peer is a trusted proxy.
pub(super) fn keep_trusted_prefix(peer: IpAddr, headers: &mut HeaderMap, trusted: &[Network]) {
    if !trusted.iter().any(|network| network.contains(peer)) {
        headers.remove(FORWARDED_PREFIX);
    }
}

/// The prefix that a trusted proxy named. `None` for none, several, or one that is not valid.
pub(in crate::transport) fn forwarded_prefix(headers: &HeaderMap) -> Option<PathPrefix> {
    let mut lines = headers.get_all(FORWARDED_PREFIX).iter();
    let (first, None) = (lines.next()?, lines.next()) else {
        return None;
    };
    first.to_str().ok()?.trim().parse().ok()
}

/// The client's address: the last entry of `X-Forwarded-For` that is not a trusted proxy's, if the peer is a trusted proxy.
/// With an unreadable entry, the peer's address.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let peer = peer.to_canonical();
    if !is_trusted(peer) {
        return peer;
    }
    let mut first = peer;
    // Several header lines are one list (RFC 9110, section 5.3).
    for line in headers.get_all(FORWARDED_FOR).iter().rev() {
        let Ok(line) = line.to_str() else {
            return peer;
        };
        for entry in line.rsplit(',') {
            let Some(address) = address(entry.trim()) else {
                return peer;
            };
            if !is_trusted(address) {
                return address;
            }
            first = address;
        }
    }
    // Every entry is a proxy: the request is a proxy's own.
    first
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse()
        .ok()
        .or_else(|| text.parse().ok().map(|with_port: SocketAddr| with_port.ip()))
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn client(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        client_address(peer.parse().unwrap(), &headers, &networks(trusted)).to_string()
    }

    #[test]
    fn network_contains_addresses_with_its_prefix() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.0.0.7", "10.0.0.7", "10.0.0.6"),
            ("192.0.2.128/25", "192.0.2.200", "192.0.2.127"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("::ffff:10.0.0.7", "10.0.0.7", "::1"),
            ("10.0.0.7", "::ffff:10.0.0.7", "::1"),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert!(parsed.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{network} {outside}");
        }
        for invalid in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "proxy",
            "10.0.0.0/",
            "10.0.0.0/-1",
        ] {
            let error = invalid.parse::<Network>().unwrap_err();
            assert!(error.contains("10.0.0.0/8"), "{error}");
        }
    }

    #[test]
    fn only_entries_of_trusted_proxies_are_used() {
        let trusted = ["10.0.0.0/8", "2001:db8::7"];
        for (peer, lines, expected) in [
            ("10.0.0.1", &["203.0.113.9"][..], "203.0.113.9"),
            // The peer is not a trusted proxy.
            ("198.51.100.1", &["203.0.113.9"], "198.51.100.1"),
            // The client's own entries are at the left.
            ("10.0.0.1", &["192.0.2.1, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["192.0.2.1", "203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            ("2001:db8::7", &["203.0.113.9,10.9.9.9"], "203.0.113.9"),
            ("::ffff:10.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("10.0.0.1", &["[2001:db8::9]:4711"], "2001:db8::9"),
            ("10.0.0.1", &["[2001:db8::9]"], "2001:db8::9"),
            // No entry, or an unreadable one.
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9, "], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9", "nonsense"], "10.0.0.1"),
            // Every entry is a trusted proxy.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ] {
            assert_eq!(client(peer, lines, &trusted), expected, "{peer} {lines:?}");
            assert_eq!(
                client(peer, lines, &[]),
                peer.trim_start_matches("::ffff:"),
                "without a trusted proxy"
            );
        }
    }

    #[test]
    fn path_prefix_has_plain_segments_only() {
        for (text, expected) in [
            ("/skills-registry", "/skills-registry"),
            ("/a/b_c/", "/a/b_c"),
            ("/", ""),
        ] {
            assert_eq!(text.parse::<PathPrefix>().unwrap().as_str(), expected);
        }
        let long = format!("/{}", "a".repeat(200));
        for invalid in [
            "",
            "a",
            "//evil.example",
            "/a//b",
            "/../a",
            "/a/.",
            "/a?b",
            "/a b",
            "/%2e",
            "/{a}",
            "/a\nb",
            &long,
        ] {
            assert!(invalid.parse::<PathPrefix>().is_err(), "{invalid:?}");
        }
    }

    #[test]
    fn forwarded_prefix_of_other_peers_is_removed() {
        let trusted = networks(&["10.0.0.0/8"]);
        for (peer, lines, expected) in [
            ("10.0.0.1", &["/skills"][..], Some("/skills")),
            ("198.51.100.1", &["/skills"], None),
            ("10.0.0.1", &["/skills", "/other"], None),
            ("10.0.0.1", &["//evil.example"], None),
            ("10.0.0.1", &[], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_PREFIX, line.parse().unwrap());
            }
            keep_trusted_prefix(peer.parse().unwrap(), &mut headers, &trusted);
            let found = forwarded_prefix(&headers);
            assert_eq!(
                found.as_ref().map(PathPrefix::as_str),
                expected,
                "{peer} {lines:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn entries_of_the_client_do_not_change_its_address(entries in "[ -~]{0,60}") {
            let line = format!("{entries}, 203.0.113.9");
            prop_assert_eq!(client("10.0.0.1", &[&line], &["10.0.0.0/8"]), "203.0.113.9");
        }
    }
}

//! Bodies that are no honest archive.

use std::io::Write as _;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;

use super::server::SKILL_MD;
use super::zip::{Entry, zip};

pub(super) fn honest_zip() -> Vec<u8> {
    zip(&[Entry::file("SKILL.md", SKILL_MD)])
}

pub(super) fn endless() -> Body {
    let part = Bytes::from(vec![b'x'; 1 << 20]);
    Body::from_stream(futures::stream::repeat(part).map(Ok::<_, std::io::Error>))
}

pub(super) fn broken(first: &[u8]) -> Body {
    let parts = [
        Ok(Bytes::copy_from_slice(first)),
        Err(std::io::Error::other("a cable was cut")),
    ];
    Body::from_stream(futures::stream::iter(parts))
}

/// A file of 64 MiB in a few kilobytes.
pub(super) fn bomb() -> Response {
    let mut deflated = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        deflated.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let deflated = deflated.finish().unwrap();
    let mut archive = zip(&[Entry {
        stated_size: Some(64 << 20),
        ..Entry::file("SKILL.md", &deflated)
    }]);
    // Compressed with deflate, of another length than the file: in the local header and in the directory.
    let length = u32::try_from(deflated.len()).unwrap().to_le_bytes();
    let directory = archive.len() - 22 - 46 - "SKILL.md".len();
    for (method, size) in [(8, 18), (directory + 10, directory + 20)] {
        archive[method] = 8;
        archive[size..size + 4].copy_from_slice(&length);
    }
    archive.into_response()
}

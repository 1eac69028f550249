//! Tar archives that must be refused, plain and compressed, and files of other formats.

use crate::tar_builder::{Tar, gzip};
use crate::zip_builder::{Entry, Zip, deflated_zeros};
use crate::{Case, Import, SKILL_MD, case};

fn tar(name: &'static str, reason: &'static str, add: fn(Tar) -> Tar) -> Case {
    case(name, reason, move || add(Tar::skill()).finish_gz())
}

pub(crate) fn names() -> Vec<Case> {
    let long = |length: usize| "n".repeat(length);
    vec![
        tar("tar: parent folder", "\"..\"", |tar| tar.file("../escaped", b"x")),
        tar("tar: absolute path", "must be relative", |tar| {
            tar.file("/tmp/escaped", b"x")
        }),
        tar("tar: backslash", "backslash", |tar| tar.file("..\\escaped", b"x")),
        tar("tar: not UTF-8", "not UTF-8", |tar| tar.file(b"caf\xE9", b"x")),
        tar("tar: ustar prefix", "\"..\"", |tar| {
            tar.entry("escaped", b'0', b"x", |header| {
                header.as_ustar_mut().unwrap().prefix[..2].copy_from_slice(b"..");
            })
        }),
        tar("tar: GNU long name", "\"..\"", |tar| {
            tar.entry("././@LongLink", b'L', b"../escaped\0", |_| ())
                .file("a", b"x")
        }),
        tar("tar: pax path", "\"..\"", |tar| {
            tar.pax(b'x', &[("path", "../escaped")]).file("a", b"x")
        }),
        tar("tar: pax path for all", "sets \"path\"", |tar| {
            tar.pax(b'g', &[("path", "../escaped")]).file("a", b"x")
        }),
        tar("tar: pax path and long name", "two headers name", |tar| {
            tar.pax(b'x', &[("path", "a")])
                .entry("././@LongLink", b'L', b"b\0", |_| ())
                .file("a", b"x")
        }),
        tar("tar: pax path with NUL", "control character", |tar| {
            tar.pax(b'x', &[("path", "a\0/../b")]).file("a", b"x")
        }),
        tar("tar: other character set", "sets \"hdrcharset\"", |tar| {
            tar.pax(b'x', &[("hdrcharset", "BINARY"), ("path", "a")])
                .file("a", b"x")
        }),
        case("tar: long name of 64 KiB", "more than 1024 bytes", move || {
            let name = long(64 << 10);
            let tar = Tar::skill().entry("././@LongLink", b'L', name.as_bytes(), |_| ());
            tar.file("a", b"x").finish_gz()
        }),
        case(
            "tar: long name of 1 MiB",
            "extension header is too large",
            move || {
                let name = long(1 << 20);
                let tar = Tar::skill().entry("././@LongLink", b'L', name.as_bytes(), |_| ());
                tar.file("a", b"x").finish_gz()
            },
        ),
        tar("tar: duplicate", "same name", |tar| {
            tar.file("a", b"1").file("./a", b"2")
        }),
        tar("tar: duplicate by case", "same name", |tar| {
            tar.file("a", b"1").file("A", b"2")
        }),
        tar("tar: file below a link", "symbolic link", |tar| {
            tar.entry("a", b'2', b"", |header| {
                header.set_link_name_literal("/tmp").unwrap()
            })
            .file("a/escaped", b"x")
        })
        .import(Import::OtherReason("both a file and a folder")),
    ]
}

pub(crate) fn kinds() -> Vec<Case> {
    vec![
        tar("tar: symbolic link", "symbolic link", |tar| {
            tar.entry("a", b'2', b"", |header| {
                header.set_link_name_literal("../../b").unwrap()
            })
        })
        .import(Import::SkipsLink),
        tar("tar: hard link", "hard link", |tar| {
            tar.entry("a", b'1', b"", |header| {
                header.set_link_name_literal("SKILL.md").unwrap()
            })
        })
        .import(Import::SkipsLink),
        tar("tar: hard link with content", "hard link with content", |tar| {
            tar.entry("a", b'1', b"x", |_| ())
        }),
        tar("tar: character device", "device", |tar| {
            tar.entry("a", b'3', b"", |_| ())
        }),
        tar("tar: block device", "device", |tar| {
            tar.entry("a", b'4', b"", |_| ())
        }),
        tar("tar: pipe", "pipe", |tar| tar.entry("a", b'6', b"", |_| ())),
        tar("tar: folder with content", "has content", |tar| {
            tar.entry("a", b'5', b"x", |_| ())
        }),
        tar("tar: GNU sparse file", "sparse", |tar| {
            tar.entry("a", b'S', b"x", |_| ())
        }),
        tar("tar: pax sparse file", "sparse", |tar| {
            tar.pax(b'x', &[("GNU.sparse.major", "1")]).file("a", b"x")
        }),
        tar("tar: continuation of another volume", "type 'M'", |tar| {
            tar.entry("a", b'M', b"", |_| ())
        }),
    ]
}

pub(crate) fn structure() -> Vec<Case> {
    let skill = || Tar::skill().file("a", b"content");
    vec![
        case(
            "tar: wrong checksum of a header",
            "does not match its checksum",
            move || {
                let mut bytes = skill().finish();
                bytes[1024] ^= 1;
                gzip(&bytes)
            },
        ),
        case(
            "tar: without its end marker",
            "end marker is missing",
            move || skill().unfinished(),
        ),
        case("tar: cut in a file", "the archive ends within it", move || {
            Tar::skill().file("a", &[b'x'; 2000]).unfinished()[..2000].to_vec()
        }),
        case(
            "tar: data after the end marker",
            "data after its end marker",
            move || gzip(&[skill().finish(), Tar::new().file("hidden", b"x").finish()].concat()),
        ),
        tar("tar: pax size differs", "does not have the size", |tar| {
            tar.pax(b'x', &[("size", "9")]).file("a", b"x")
        }),
        tar("tar: size of 8 EiB", "unpacks to more than", |tar| {
            tar.entry("a", b'0', b"", |header| header.set_size(1 << 63))
        }),
        tar("tar: size that is no number", "header is damaged", |tar| {
            tar.entry("a", b'0', b"", |header| {
                header.as_old_mut().size = *b"zzzzzzzzzzzz"
            })
        }),
        tar(
            "tar: pax record without a length",
            "extension header is invalid",
            |tar| tar.entry("pax", b'x', b"path=a\n", |_| ()).file("a", b"x"),
        ),
        tar("tar: two pax headers", "two pax headers", |tar| {
            tar.pax(b'x', &[("a", "b")])
                .pax(b'x', &[("a", "b")])
                .file("a", b"x")
        }),
        tar("tar: long name without an entry", "does not follow", |tar| {
            tar.entry("././@LongLink", b'L', b"a\0", |_| ())
        }),
    ]
}

pub(crate) fn compressed() -> Vec<Case> {
    let skill = || Tar::skill().file("a", b"content");
    vec![
        case("gzip: second member", "another gzip member", move || {
            [skill().finish_gz(), skill().finish_gz()].concat()
        }),
        case("gzip: data after the member", "after its end", move || {
            [skill().finish_gz(), b"more".to_vec()].concat()
        }),
        case("gzip: wrong checksum", "does not match its checksum", move || {
            let mut bytes = skill().finish_gz();
            let at = bytes.len() - 8;
            bytes[at] ^= 1;
            bytes
        }),
        case("gzip: first half", "end", move || {
            let bytes = skill().finish_gz();
            bytes[..bytes.len() - 12].to_vec()
        }),
        case("gzip: inside gzip", "contains something else", move || {
            gzip(&skill().finish_gz())
        }),
        case("gzip: not an archive", "contains something else", || {
            gzip(SKILL_MD)
        }),
        case("gzip: zip inside", "contains something else", || {
            gzip(&Zip::skill([Entry::stored("a", &[b'x'; 2000])]).build())
        }),
    ]
}

pub(crate) fn bombs() -> Vec<Case> {
    vec![
        case("tar: 1 GiB of zeros", "unpacks to more than", || {
            let header = Tar::skill().entry("a", b'0', b"", |header| header.set_size(1 << 30));
            gzip_then_zeros(&header.unfinished(), 1024)
        }),
        case(
            "tar: 1 GiB of zeros after the end marker",
            "zeros after its end",
            || gzip_then_zeros(&Tar::skill().finish(), 1024),
        ),
        case("tar: pax headers without an end", "two pax headers", || {
            let pax = Tar::new().pax(b'x', &[("a", "b")]).unfinished();
            gzip(&[Tar::skill().unfinished(), pax.repeat(10_000)].concat())
        }),
        case(
            "tar: long link names without an end",
            "unpacks to more than",
            || {
                let link = Tar::new()
                    .entry("link", b'K', &[b'a'; 200 << 10], |_| ())
                    .unfinished();
                gzip(&[Tar::skill().unfinished(), link.repeat(500)].concat())
            },
        ),
        case("tar: 1,100 files", "more than 1024 entries", || {
            let tar = (0..1100).fold(Tar::skill(), |tar, n| tar.file(n.to_string(), b""));
            tar.finish_gz()
        })
        .import(Import::Accepts),
        case("tar: 1,200 implied folders", "more than 1024 entries", || {
            let file = |tar: Tar, n| tar.file(format!("{n}/b/c/d/e/f/g/h/i/j/k/l/m"), b"");
            (0..100).fold(Tar::skill(), file).finish_gz()
        })
        .import(Import::Accepts),
    ]
}

/// A gzip member: `start`, then zeros. Its checksum is missing.
fn gzip_then_zeros(start: &[u8], mebibytes: u32) -> Vec<u8> {
    let mut bytes = b"\x1F\x8B\x08\0\0\0\0\0\0\xFF".to_vec();
    // A stored block, as long as the header announces, then compressed ones.
    let len = u16::try_from(start.len()).unwrap();
    bytes.push(0);
    bytes.extend(len.to_le_bytes());
    bytes.extend((!len).to_le_bytes());
    bytes.extend(start);
    bytes.extend(deflated_zeros(mebibytes));
    bytes
}

pub(crate) fn formats() -> Vec<Case> {
    let file = |name, reason, bytes: &'static [u8]| case(name, reason, move || bytes.to_vec());
    vec![
        file("empty file", "an empty file", b""),
        file("SKILL.md itself", "a text file", SKILL_MD),
        file("7z", "a 7z archive", b"7z\xBC\xAF\x27\x1C\0\x04"),
        file("RAR", "a RAR archive", b"Rar!\x1A\x07\0"),
        file("bzip2", "a bzip2 file", b"BZh91AY&SY"),
        file("zeros", "another format", &[0; 1024]),
        file("start of a zip", "its end is missing", b"PK\x03\x04"),
        file("start of a gzip", "end", b"\x1F\x8B\x08"),
    ]
}

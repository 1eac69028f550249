//! Zip archives that must be refused.

use crate::zip_builder::{Entry, Zip, deflated_zeros};
use crate::{Case, Import, SKILL_MD, case};

fn skill(entry: Entry) -> Vec<u8> {
    Zip::skill([entry]).build()
}

fn with_name(name: &'static str, reason: &'static str, entry: &'static [u8]) -> Case {
    case(name, reason, move || skill(Entry::stored(entry, b"x")))
}

/// Names that lead out of the target, or that some system reads as another name.
pub(crate) fn names() -> Vec<Case> {
    vec![
        with_name("parent folder", "\"..\"", b"../escaped"),
        with_name("parent folder inside a path", "\"..\"", b"a/../../escaped"),
        with_name("parent folder after ./", "\"..\"", b"./../escaped"),
        with_name("absolute path", "must be relative", b"/tmp/escaped"),
        with_name("two slashes", "must be relative", b"//host/escaped"),
        with_name("drive", "marks a drive", b"C:/escaped"),
        with_name("drive without a slash", "marks a drive", b"C:escaped"),
        with_name(
            "alternate data stream",
            "alternate data stream",
            b"SKILL.md:hidden",
        ),
        with_name("backslashes", "backslash", b"..\\escaped"),
        with_name("UNC path", "backslash", b"\\\\host\\share\\escaped"),
        with_name("mixed separators", "backslash", b"a/..\\..\\escaped"),
        with_name("percent-encoded dots", "encoded", b"%2e%2e/escaped"),
        with_name("percent-encoded slash", "encoded", b"..%2Fescaped"),
        with_name("encoded twice", "encoded", b"%252e%252e%252fescaped"),
        with_name("encoded backslash", "encoded", b"..%5cescaped"),
        with_name("encoded NUL", "encoded", b"SKILL.md%00.txt"),
        with_name("NUL", "control character", b"a\0/../../escaped"),
        with_name("overlong UTF-8", "not UTF-8", b"\xC0\xAE\xC0\xAE/escaped"),
        with_name("Latin-1", "not UTF-8", b"caf\xE9"),
        with_name("full-width dots", "turn into", "．．/escaped".as_bytes()),
        with_name("full-width slash", "turn into", "a／..／escaped".as_bytes()),
        with_name("division slash", "turn into", "..∕escaped".as_bytes()),
        with_name("trailing dots", "ends with a dot or a space", b"a/.../escaped"),
        with_name("trailing space", "ends with a dot or a space", b"a/.. /escaped"),
        with_name("device name", "reserves for a device", b"docs/aux.md"),
        with_name(
            "text direction",
            "invisible or text-direction",
            "a\u{202E}fdp.exe".as_bytes(),
        ),
        with_name("line feed", "control character", b"a\nb"),
        with_name("empty name", "the path is empty", b""),
        with_name(
            "ignored folder that leads out",
            "\"..\"",
            b"__MACOSX/../../escaped",
        ),
        case("name of 64 KiB", "more than 1024 bytes", || {
            skill(Entry::stored("a/".repeat(32_767), b"x"))
        }),
        case("1,000 levels", "more than 32 levels", || {
            skill(Entry::stored(format!("{}x", "a/".repeat(500)), b"x"))
        }),
        case("second name in an extra field", "name", || {
            skill(Entry::stored("a", b"x").with(|entry| {
                entry.extra = b"\x75\x70\x0F\0\x01\0\0\0\0../escaped".to_vec();
            }))
        }),
    ]
}

/// Two entries of which one system keeps both and another one.
pub(crate) fn collisions() -> Vec<Case> {
    let pair = |name, reason, first: &'static str, second: &'static str| {
        case(name, reason, move || {
            Zip::skill([Entry::stored(first, b"1"), Entry::stored(second, b"2")]).build()
        })
    };
    vec![
        pair("duplicate", "same name", "a.md", "a.md"),
        pair("duplicate by ./", "same name", "a.md", "./a.md"),
        pair("duplicate by case", "same name", "Read.md", "read.md"),
        pair("folders that differ by case", "same name", "Docs/a", "docs/b"),
        pair(
            "duplicate by normalisation",
            "same name",
            "caf\u{E9}",
            "cafe\u{301}",
        ),
        pair("file and folder", "both a file and a folder", "a", "a/b"),
        pair("second SKILL.md", "same name", "x", "SKILL.MD"),
        case("file below a link", "both a file and a folder", || {
            let link = Entry::stored("a", b"/tmp").with(|entry| entry.mode = 0o120_777);
            Zip::skill([Entry::stored("a/escaped", b"x"), link]).build()
        }),
    ]
}

/// Entries that are no plain files, or not readable.
pub(crate) fn kinds() -> Vec<Case> {
    let mode = |name, reason, mode: u32| {
        case(name, reason, move || {
            skill(Entry::stored("a", b"/etc/passwd").with(|entry| entry.mode = mode))
        })
    };
    let changed = |name, reason, change: fn(&mut Entry)| {
        case(name, reason, move || {
            skill(Entry::stored("a", b"content").with(change))
        })
    };
    vec![
        mode("symbolic link", "symbolic link", 0o120_777).import(Import::SkipsLink),
        mode("pipe", "pipe", 0o010_644),
        mode("socket", "socket", 0o140_644),
        mode("character device", "device", 0o020_644),
        mode("block device", "device", 0o060_644),
        changed("encrypted", "encrypted", |entry| entry.flags |= 1),
        changed("strong encryption", "encrypted", |entry| {
            entry.flags |= 1 | 1 << 6
        }),
        changed("AES", "encrypted", |entry| entry.method = 99),
        changed("zip with bzip2", "method 12", |entry| entry.method = 12),
        changed("LZMA", "method 14", |entry| entry.method = 14),
        changed("zstd", "method 93", |entry| entry.method = 93),
        changed("deflate64", "method 9", |entry| entry.method = 9),
        changed("folder with content", "has content", |entry| {
            entry.name = b"a/".to_vec()
        }),
    ]
}

/// Archives with an entry whose headers or content are wrong.
pub(crate) fn entries() -> Vec<Case> {
    let changed = |name, reason, change: fn(&mut Entry)| {
        case(name, reason, move || {
            skill(Entry::stored("a", b"content").with(change))
        })
    };
    vec![
        changed("wrong checksum", "checksum does not match", |entry| {
            entry.crc ^= 1
        }),
        changed("size too small", "does not have the size", |entry| {
            entry.size -= 1
        }),
        changed("size too large", "does not have the size", |entry| {
            entry.size += 1
        }),
        changed("other local name", "disagree about its name", |entry| {
            entry.local_name = Some(b"../escaped".to_vec());
        }),
        changed("other local method", "disagree about its compression", |entry| {
            entry.local_method = Some(8);
        }),
        changed("other local checksum", "disagree about its checksum", |entry| {
            entry.local_crc = Some(1);
        }),
        changed("other local size", "disagree about its size", |entry| {
            entry.local_size = Some(1)
        }),
        changed(
            "descriptor that disagrees",
            "disagree about its data descriptor",
            |entry| {
                entry.flags |= 1 << 3;
                entry.descriptor = vec![1; 12];
            },
        ),
        changed(
            "descriptor that is missing",
            "disagree about its data descriptor",
            |entry| {
                entry.flags |= 1 << 3;
            },
        ),
        changed("truncated extra field", "header is damaged", |entry| {
            entry.extra = vec![1, 0, 9, 0]
        }),
        changed("entry outside of the directory", "belongs to no entry", |entry| {
            entry.is_in_directory = false;
        }),
        changed("gap before an entry", "belongs to no entry", |entry| {
            entry.gap = vec![0; 7]
        }),
        changed("offset into the content before it", "overlap", |entry| {
            entry.offset = Some(10)
        }),
        case("damaged deflate stream", "compressed data is damaged", || {
            skill(Entry::deflated("a", b"content").with(|entry| {
                entry.content = vec![0xFF; 9];
                entry.compressed_size = 9;
            }))
        }),
        case("data after the deflate stream", "does not have the size", || {
            skill(Entry::deflated("a", b"content").with(|entry| {
                entry.content.extend(b"hidden");
                entry.compressed_size += 6;
            }))
        }),
    ]
}

/// Archives with data that belongs to no entry, or with a wrong number of entries.
pub(crate) fn structure() -> Vec<Case> {
    let zip = |name, reason, change: fn(&mut Zip)| {
        case(name, reason, move || {
            let mut zip = Zip::skill([Entry::deflated("a", b"content"), Entry::stored("b", b"content")]);
            change(&mut zip);
            zip.build()
        })
    };
    vec![
        zip("archive behind a program", "a Windows program", |zip| {
            zip.prefix = b"MZ\x90\0".to_vec()
        }),
        zip("archive behind a script", "a file of another format", |zip| {
            zip.prefix = b"#!/bin/sh\n".to_vec();
        }),
        zip("data before the directory", "belongs to no entry", |zip| {
            zip.before_directory = vec![0; 9]
        }),
        zip("data after the archive", "data after its end", |zip| {
            zip.suffix = b"more".to_vec()
        }),
        zip("two end records", "another end", |zip| {
            let other = Zip::default().build();
            zip.comment = other;
            zip.comment.push(b' ');
        }),
        zip("fewer entries than counted", "truncated", |zip| {
            zip.count = Some(4)
        }),
        zip("more entries than counted", "more entries than", |zip| {
            zip.count = Some(2)
        }),
    ]
}

/// Archives with a wrong or missing end.
pub(crate) fn ends() -> Vec<Case> {
    vec![
        case("first half", "its end is missing", || {
            let mut bytes = Zip::skill([Entry::stored("a", &[b'x'; 2000])]).build();
            bytes.truncate(bytes.len() / 2);
            bytes
        }),
        case("without its last byte", "end record is incomplete", || {
            let mut bytes = skill(Entry::stored("a", b"x"));
            bytes.pop();
            bytes
        }),
        case("one part of several", "one part of several", || {
            let mut bytes = skill(Entry::stored("a", b"x"));
            let at = bytes.len() - 18;
            bytes[at] = 1;
            bytes
        }),
        case("end records that disagree", "two end records disagree", || {
            let mut zip = Zip::skill([Entry::stored("a", b"x")]);
            (zip.with_zip64, zip.count) = (true, Some(1));
            zip.build()
        }),
        case("no entries", "no files", || Zip::default().build()),
    ]
}

/// Small archives that become large.
pub(crate) fn bombs() -> Vec<Case> {
    vec![
        case("1 GiB of zeros in one entry", "unpacks to more than", || {
            skill(Entry::bomb("a", 1024))
        }),
        case(
            "2 GiB of zeros that claim to be 7 bytes",
            "does not have the size",
            || skill(Entry::bomb("a", 2047).with(|entry| entry.size = 7)),
        ),
        case("many entries of zeros", "unpacks to more than", || {
            Zip::skill((0..60).map(|n| Entry::zeros(&n.to_string(), 4))).build()
        }),
        case("left-out entry of zeros", "unpacks to more than", || {
            skill(Entry::bomb("__MACOSX/a", 1024))
        }),
        case("overlapping entries", "overlap", || {
            let mut entries: Vec<_> = (0..200)
                .map(|n| Entry::stored(format!("{n:04}"), b"").with(|entry| entry.offset = Some(0)))
                .collect();
            entries[0] = Entry::bomb("0000", 3);
            Zip {
                entries,
                ..Zip::default()
            }
            .build()
        }),
        case("quoted local headers", "overlap", || {
            // Each entry's content covers the headers of those that follow.
            let kernel = deflated_zeros(1);
            let entries = (0..20).map(|n| {
                Entry::stored(format!("{n}"), b"").with(|entry| {
                    entry.method = 8;
                    entry.size = 1 << 20;
                    entry.compressed_size = u32::try_from(kernel.len()).unwrap() * 4;
                    entry.content.clone_from(&kernel);
                })
            });
            Zip::skill(entries).build()
        }),
        case("100,001 entries", "entries", || {
            let entries = (0..100_001).map(|n| Entry::stored(n.to_string(), b""));
            Zip {
                entries: entries.collect(),
                with_zip64: true,
                count: Some(u16::MAX),
                ..Zip::default()
            }
            .build()
        }),
        case("4 billion entries declared", "entries", || {
            let mut zip = Zip::skill([]);
            (zip.with_zip64, zip.count) = (true, Some(u16::MAX));
            let mut bytes = zip.build();
            let at = bytes.len() - 22 - 20 - 56 + 24;
            bytes[at..at + 16].fill(0x7F);
            bytes
        }),
    ]
}

/// Skills that exceed a limit of the format.
pub(crate) fn too_large() -> Vec<Case> {
    vec![
        case("513 files", "more than 512 files", || {
            Zip::skill((0..512).map(|n| Entry::stored(n.to_string(), b""))).build()
        })
        .import(Import::Accepts),
        case("17 MiB unpacked", "unpacks to more than 16777216 bytes", || {
            Zip::skill([Entry::stored("a", &vec![b'x'; 9 << 20]), Entry::zeros("b", 8)]).build()
        })
        .import(Import::Accepts),
        case("archive of 19 MiB", "the archive has", || {
            skill(Entry::stored("a", &vec![b'x'; 19 << 20]))
        })
        .import(Import::Accepts),
    ]
}

/// Archives that are intact, but not one skill.
pub(crate) fn not_one_skill() -> Vec<Case> {
    let files = |name, reason, paths: &'static [&'static str]| {
        case(name, reason, move || {
            let entries = paths.iter().map(|path| Entry::stored(path, SKILL_MD));
            Zip {
                entries: entries.collect(),
                ..Zip::default()
            }
            .build()
        })
        .import(Import::Accepts)
    };
    vec![
        files(
            "two skills",
            "SKILL.md in 2 folders (\"a\", \"b\")",
            &["a/SKILL.md", "b/SKILL.md"],
        ),
        files("skill two folders deep", "no SKILL.md", &["a/b/SKILL.md"]),
        files(
            "skill beside another folder",
            "no SKILL.md",
            &["a/SKILL.md", "b/x"],
        ),
        files("no SKILL.md", "no SKILL.md", &["README.md"]),
        files(
            "only files of other programs",
            "no files",
            &["__MACOSX/._SKILL.md", ".DS_Store"],
        ),
    ]
}

//! Limits on the size and shape of a skill.

/// Maximum size of a `SKILL.md` in bytes.
pub const MAX_SKILL_MD_BYTES: usize = 1024 * 1024;
/// Maximum size of a front matter in bytes.
pub const MAX_FRONT_MATTER_BYTES: usize = 64 * 1024;
/// Maximum number of YAML values in a front matter, without its keys.
pub const MAX_YAML_VALUES: usize = 4096;
/// Maximum depth of nested YAML lists and mappings.
pub const MAX_YAML_NESTING: usize = 16;

/// Maximum length of a description in characters (Agent Skills specification, `description`).
pub const MAX_DESCRIPTION_CHARS: usize = 1024;
/// Maximum length of a compatibility text in characters (Agent Skills specification, `compatibility`).
pub const MAX_COMPATIBILITY_CHARS: usize = 500;
/// Maximum length of a license text in characters; a longer one is shortened.
pub const MAX_LICENSE_CHARS: usize = 256;
/// Maximum length of a tag, category or version in characters; a longer one is shortened.
pub const MAX_LABEL_CHARS: usize = 64;
/// Maximum number of tags; further ones are ignored.
pub const MAX_TAGS: usize = 32;
/// Maximum number of headings; further ones are ignored.
pub const MAX_HEADINGS: usize = 256;
/// Maximum length of a heading in characters; a longer one is shortened.
pub const MAX_HEADING_CHARS: usize = 200;

/// Maximum number of files in a skill (SEP-2640).
pub const MAX_FILES: usize = 512;
/// Maximum size of all files of a skill together, in bytes (SEP-2640).
pub const MAX_TOTAL_BYTES: u64 = 16 * 1024 * 1024;
/// Maximum size of an archive of one skill in bytes. Every skill fits, also uncompressed with 512 paths of maximum length.
pub const MAX_ARCHIVE_BYTES: u64 = MAX_TOTAL_BYTES + 2 * 1024 * 1024;
/// Maximum length of a path in bytes of UTF-8.
pub const MAX_PATH_BYTES: usize = 1024;
/// Maximum length of a path segment in bytes of UTF-8: the limit of common file systems for a file name.
pub const MAX_SEGMENT_BYTES: usize = 255;
/// Maximum number of segments in a path. Bounds the cost of [`check_collisions`](crate::check_collisions).
pub const MAX_SEGMENTS: usize = 32;

//! The paths of an archive as a tree, to find names that cannot exist together on every file system.
//!
//! [`check_collisions`](crate::check_collisions) does the same with the paths as texts. For 100,000 deep paths it would need gigabytes.

use std::collections::HashMap;

use crate::path::{Collision, SkillPath, case_folded};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeKind {
    File,
    Folder,
}

struct Node {
    /// `None` below the root.
    parent: Option<usize>,
    name: Box<str>,
    kind: NodeKind,
}

#[derive(Default)]
pub(super) struct PathTree {
    nodes: Vec<Node>,
    /// By parent and by the name as file systems compare it.
    index: HashMap<(Option<usize>, Box<str>), usize>,
}

impl PathTree {
    /// Number of files and folders.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Adds a path and its folders. A folder may be added twice, a file may not.
    pub(super) fn insert(&mut self, path: &SkillPath, kind: NodeKind) -> Result<(), Collision> {
        let mut parent = None;
        let mut segments = path.as_str().split('/').peekable();
        while let Some(segment) = segments.next() {
            let kind = if segments.peek().is_some() {
                NodeKind::Folder
            } else {
                kind
            };
            parent = Some(self.insert_segment(parent, segment, kind)?);
        }
        Ok(())
    }

    fn insert_segment(
        &mut self,
        parent: Option<usize>,
        segment: &str,
        kind: NodeKind,
    ) -> Result<usize, Collision> {
        let key = (parent, case_folded(segment).into_boxed_str());
        let Some(found) = self.index.get(&key).copied() else {
            let added = self.nodes.len();
            self.index.insert(key, added);
            self.nodes.push(Node {
                parent,
                name: segment.into(),
                kind,
            });
            return Ok(added);
        };
        let (found_name, found_kind) = self
            .nodes
            .get(found)
            .map_or(("", kind), |node| (&*node.name, node.kind));
        if found_name != segment || (found_kind == NodeKind::File && kind == NodeKind::File) {
            let folder = self.path_of(parent);
            return Err(Collision::SameName {
                first: format!("{folder}{found_name}"),
                second: format!("{folder}{segment}"),
            });
        }
        if found_kind != kind {
            return Err(Collision::FileAndFolder {
                path: format!("{}{segment}", self.path_of(parent)),
            });
        }
        Ok(found)
    }

    /// The path of a folder with `/` at its end.
    fn path_of(&self, mut at: Option<usize>) -> String {
        let mut names = Vec::new();
        while let Some(node) = at.and_then(|at| self.nodes.get(at)) {
            names.push(&*node.name);
            at = node.parent;
        }
        names.iter().rev().flat_map(|name| [name, "/"]).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::path::check_collisions;

    fn insert_all(paths: &[SkillPath]) -> Result<(), Collision> {
        let mut tree = PathTree::default();
        paths
            .iter()
            .try_for_each(|path| tree.insert(path, NodeKind::File))
    }

    #[test]
    fn folder_may_occur_twice_and_collision_names_whole_paths() {
        let path = |text| SkillPath::parse(text).unwrap();
        let mut tree = PathTree::default();
        tree.insert(&path("a/b"), NodeKind::Folder).unwrap();
        tree.insert(&path("a/b"), NodeKind::Folder).unwrap();
        tree.insert(&path("a/b/c"), NodeKind::File).unwrap();
        assert_eq!(tree.len(), 3);
        assert_eq!(
            tree.insert(&path("a/B/d"), NodeKind::File),
            Err(Collision::SameName {
                first: "a/b".to_owned(),
                second: "a/B".to_owned()
            })
        );
        assert_eq!(
            tree.insert(&path("a/b"), NodeKind::File),
            Err(Collision::FileAndFolder {
                path: "a/b".to_owned()
            })
        );
    }

    proptest! {
        #[test]
        fn finds_what_the_check_of_a_folder_finds(texts in prop::collection::vec("[aAbß]{1,2}(/[aAS]{1,2}){0,2}", 1..6)) {
            let paths: Vec<_> = texts.iter().map(|text| SkillPath::parse(text).unwrap()).collect();
            prop_assert_eq!(insert_all(&paths).is_err(), check_collisions(&paths).is_err());
        }
    }
}

//! Inserts whose values are paired with the names of their columns.

use super::{Param, Sql};

impl Sql {
    /// Returns the values of an INSERT in the order of its parameters.
    ///
    /// Each value is given with the name of its column. Debug builds compare the names with the column list of the statement,
    /// so every test that executes the statement also checks that no value is stored in another column.
    #[must_use]
    pub fn row<'a, const COLUMNS: usize>(
        self,
        row: [(&'static str, Param<'a>); COLUMNS],
    ) -> [Param<'a>; COLUMNS] {
        debug_assert!(
            self.insert_columns().eq(row.iter().map(|(name, _)| *name)),
            "the names of the values are not the columns of this statement, in order: {}",
            self.text()
        );
        row.map(|(_, value)| value)
    }

    /// The names in the column list of an INSERT.
    fn insert_columns(self) -> impl Iterator<Item = &'static str> {
        let list = self
            .text()
            .split_once("INSERT INTO")
            .and_then(|(_, rest)| rest.split_once('('))
            .and_then(|(_, rest)| rest.split_once(')'))
            .map_or("", |(list, _)| list);
        list.split(',').map(str::trim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: Sql = Sql::from_file("-- x: a row (of x).\nINSERT INTO x (id,\n    name) VALUES ($1, $2)");

    #[test]
    fn values_keep_their_order() {
        assert_eq!(SQL.row([("id", &1_i64), ("name", &"ada")]).len(), 2);
    }

    #[test]
    #[should_panic(expected = "not the columns")]
    fn swapped_columns_are_detected() {
        let _ = SQL.row([("name", &"ada"), ("id", &1_i64)]);
    }
}

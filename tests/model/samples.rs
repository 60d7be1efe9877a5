//! The text of a sample file in, what each point showed and when out.

/// What stands in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// No new reading.
    Empty,
    /// The read failed.
    Failed,
    Value(String),
}

#[derive(Clone, Debug)]
pub struct Samples {
    columns: Vec<String>,
    rows: Vec<(i64, Vec<Cell>)>,
}

impl Samples {
    pub fn read(text: &str) -> Samples {
        let mut lines = text.lines();
        let columns: Vec<String> = lines.next().unwrap().split(',').skip(1).map(str::to_owned).collect();
        let rows: Vec<(i64, Vec<Cell>)> = lines
            .map(|line| {
                let mut cells = line.split(',');
                let at = cells.next().unwrap().parse().expect("the model reads epoch milliseconds only");
                let cell = |cell: &str| match cell {
                    "" => Cell::Empty,
                    "!" => Cell::Failed,
                    value => Cell::Value(value.to_owned()),
                };
                (at, cells.map(cell).collect())
            })
            .collect();
        assert!(rows.len() > 1 && rows.iter().all(|(_, cells)| cells.len() == columns.len()));
        Samples { columns, rows }
    }

    pub fn first_at(&self) -> i64 {
        self.rows[0].0
    }

    /// The last row closes the books.
    pub fn end_at(&self) -> i64 {
        self.rows[self.rows.len() - 1].0
    }

    pub fn times(&self) -> impl Iterator<Item = i64> {
        self.rows.iter().map(|(at, _)| *at)
    }

    /// Every cell of a point, in the order of time.
    pub fn of<'a>(&'a self, point: &str) -> Vec<(i64, &'a Cell)> {
        let column = self.columns.iter().position(|column| column == point).expect("the point has a column");
        self.rows.iter().map(|(at, cells)| (*at, &cells[column])).collect()
    }
}

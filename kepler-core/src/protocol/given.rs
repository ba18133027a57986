//! Names and rows as requests give them, read so that no request takes up much more than its own size.

use std::fmt;

use ndarray::{Array2, ArrayView2, CowArray, Ix2};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use super::refusal::Refusal;

/// More columns than any model has features.
const COLUMNS: usize = 256;
/// Values that are predicted from at once: 32 MiB.
const CELLS: usize = 4 << 20;

/// Rows of values, one behind the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    values: Vec<f64>,
    count: usize,
    /// Of the first row, and so of all.
    width: usize,
}

impl Rows {
    /// Rows of a width, whose values lie one row behind the other; `None` where the last one is not whole.
    pub(super) fn of(values: Vec<f64>, width: usize) -> Option<Self> {
        let count = values.len().checked_div(width)?;
        (count * width == values.len()).then_some(Self {
            values,
            count,
            width,
        })
    }

    /// The rows as a matrix, each with the values behind it that are the same in all.
    pub(super) fn matrix(
        &self,
        width: usize,
        same: &[f64],
    ) -> Result<CowArray<'_, f64, Ix2>, Refusal> {
        if self.count > 0 && self.width != width {
            return Err(Refusal::bad(format!(
                "row 0 has {} values, where there are {width} features",
                self.width
            )));
        }
        let columns = width + same.len();
        if columns > COLUMNS {
            let why = format!("{columns} features are more than {COLUMNS}");
            return Err(Refusal::bad(why));
        }
        if self.count.saturating_mul(columns.max(1)) > CELLS {
            return Err(Refusal::bad(format!(
                "{} rows of {columns} features are more than {CELLS} values: ask for fewer at a time",
                self.count
            )));
        }
        let shape = (self.count, columns);
        let wrong = |e| Refusal::bad(format!("rows: {e}"));
        if same.is_empty() {
            let rows = ArrayView2::from_shape(shape, &self.values).map_err(wrong)?;
            return Ok(rows.into());
        }
        let rows = (0..self.count).map(|row| &self.values[row * width..][..width]);
        let values = rows.flat_map(|row| row.iter().chain(same)).copied();
        let rows = Array2::from_shape_vec(shape, values.collect()).map_err(wrong)?;
        Ok(rows.into())
    }
}

/// A list of at most so many items as there may be columns; no more of it is read.
pub(super) fn few<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    struct Few<T>(std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Few<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = list.next_element()? {
                items.push(item);
                if items.len() > COLUMNS {
                    return Err(A::Error::custom(format!("more than {COLUMNS} features")));
                }
            }
            Ok(items)
        }
    }
    from.deserialize_seq(Few(std::marker::PhantomData))
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(All)
    }
}

struct All;

impl<'de> Visitor<'de> for All {
    type Value = Rows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Rows, A::Error> {
        let mut rows = Rows::default();
        while list.next_element_seed(Next(&mut rows.values))?.is_some() {
            let before = rows.count * rows.width;
            let has = rows.values.len() - before;
            if rows.count == 0 {
                rows.width = has;
            } else if has != rows.width {
                return Err(A::Error::custom(format!(
                    "row {} has {has} values, where row 0 has {}",
                    rows.count, rows.width
                )));
            }
            rows.count += 1;
        }
        Ok(rows)
    }
}

/// The next row, put behind those before.
struct Next<'a>(&'a mut Vec<f64>);

impl<'de> DeserializeSeed<'de> for Next<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Next<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(value) = list.next_element()? {
            if self.0.len() >= CELLS {
                return Err(A::Error::custom(format!(
                    "more than {CELLS} values: ask for fewer at a time"
                )));
            }
            self.0.push(value);
        }
        Ok(())
    }
}

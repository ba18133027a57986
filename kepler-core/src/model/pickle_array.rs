//! Numbers and arrays of numpy as they lie in a pickle.

use super::pickle::{Class, Node, Pickle, Value};
use crate::error::{Error, Result};

/// An array: its shape, the kind of its elements, and their bytes where they lie in the file.
#[derive(Clone, Debug)]
pub(super) struct Array<'a> {
    shape: Vec<usize>,
    dtype: Dtype,
    by_columns: bool,
    bytes: &'a [u8],
}

/// What joblib says of an array before its bytes.
pub(super) struct Wrapper {
    shape: Vec<usize>,
    pub(super) dtype: Dtype,
    by_columns: bool,
    pub(super) aligned: bool,
}

/// The kind of an array's elements, all little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dtype {
    Float(usize),
    Int(usize),
    Unsigned(usize),
    Bool,
    /// Records or text of that many bytes.
    Record(usize),
    /// Python objects.
    Object,
}

/// Numbers of an array with its shape.
pub(super) struct Numbers {
    pub(super) shape: Vec<usize>,
    /// Row by row.
    pub(super) values: Vec<f64>,
}

impl Dtype {
    fn size(self) -> usize {
        match self {
            Self::Float(size) | Self::Int(size) | Self::Unsigned(size) | Self::Record(size) => size,
            Self::Bool => 1,
            Self::Object => 8,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_start_matches(['<', '|', '=']);
        let (kind, size) = text.split_at_checked(1)?;
        let size: usize = size.parse().ok()?;
        Some(match (kind, size) {
            ("f", 4 | 8) => Self::Float(size),
            ("i", 1 | 2 | 4 | 8) => Self::Int(size),
            ("u", 1 | 2 | 4 | 8) => Self::Unsigned(size),
            ("b", 1) => Self::Bool,
            ("V", size) if size > 0 => Self::Record(size),
            ("O", _) => Self::Object,
            _ => return None,
        })
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "counts and node numbers stay far below 2^53"
    )]
    fn number(self, bytes: &[u8]) -> Option<f64> {
        let mut wide = [0; 8];
        wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let unsigned = u64::from_le_bytes(wide);
        Some(match self {
            Self::Float(8) => f64::from_le_bytes(wide),
            Self::Float(_) => f32::from_le_bytes([wide[0], wide[1], wide[2], wide[3]]).into(),
            Self::Unsigned(_) | Self::Bool => unsigned as f64,
            Self::Int(size) => {
                let shift = 64 - 8 * size;
                ((unsigned << shift).cast_signed() >> shift) as f64
            }
            Self::Record(_) | Self::Object => return None,
        })
    }
}

impl Wrapper {
    /// The bytes that the array takes; `None` when that is no number.
    pub(super) fn size(&self) -> Option<usize> {
        let count = self
            .shape
            .iter()
            .try_fold(1usize, |n, d| n.checked_mul(*d))?;
        count.checked_mul(self.dtype.size())
    }

    pub(super) fn array(self, bytes: &[u8]) -> Array<'_> {
        Array {
            shape: self.shape,
            dtype: self.dtype,
            by_columns: self.by_columns,
            bytes,
        }
    }
}

impl<'a> Pickle<'a> {
    /// The state of an array wrapper.
    pub(super) fn wrapper(&self, state: Value<'a>) -> Result<Wrapper> {
        let Some(Node::Dict(items)) = self.node(state) else {
            return Err(Error::malformed(
                "pickle",
                "an array wrapper",
                "another state",
            ));
        };
        let item = |name: &str| {
            let found = items
                .iter()
                .find(|(k, _)| matches!(k, Value::Text(t) if *t == name));
            found.map(|(_, value)| *value)
        };
        let missing =
            || Error::malformed("pickle", "an array wrapper", "one without shape or kind");
        Ok(Wrapper {
            shape: self.shape(item("shape").ok_or_else(missing)?)?,
            dtype: self.dtype(item("dtype").ok_or_else(missing)?)?,
            by_columns: matches!(item("order"), Some(Value::Text("F"))),
            // Files of older joblib have neither the field nor the padding.
            aligned: !matches!(
                item("numpy_array_alignment_bytes"),
                None | Some(Value::None)
            ),
        })
    }

    /// A number, from a Python or numpy scalar.
    pub(super) fn float(&self, value: Value<'a>) -> Result<f64> {
        let wrong = || Error::malformed("pickle", "a number", format!("{value:?}"));
        match value {
            Value::Float(number) => Ok(number),
            #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
            Value::Int(number) => Ok(number as f64),
            Value::Bool(truth) => Ok(f64::from(truth)),
            Value::Node(_) if self.class(value) == Some(Class::Scalar) => {
                let &[dtype, bytes] = self.arguments(value)? else {
                    return Err(wrong());
                };
                let dtype = self.dtype(dtype)?;
                let bytes = self
                    .bytes(bytes)
                    .filter(|b| b.len() == dtype.size())
                    .ok_or_else(wrong)?;
                dtype.number(bytes).ok_or_else(wrong)
            }
            Value::Node(_) => match self.numbers(value)?.values[..] {
                [number] => Ok(number),
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        }
    }

    /// A count.
    pub(super) fn count(&self, value: Value<'a>) -> Result<usize> {
        let number = self.float(value)?;
        let wrong = || Error::malformed("pickle", "a count", number.to_string());
        if number.fract().abs() > 0.0 || !(0.0..1e15).contains(&number) {
            return Err(wrong());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and in range, as was just checked"
        )]
        Ok(number as usize)
    }

    /// The numbers of an array, row by row.
    pub(super) fn numbers(&self, value: Value<'a>) -> Result<Numbers> {
        let wrong = || Error::malformed("pickle", "an array of numbers", format!("{value:?}"));
        if let Some(numbers) = self.number_objects(value)? {
            return Ok(numbers);
        }
        let array = self.array(value)?;
        let size = array.dtype.size();
        let numbers: Option<Vec<f64>> = array
            .bytes
            .chunks_exact(size)
            .map(|b| array.dtype.number(b))
            .collect();
        let mut values = numbers.ok_or_else(wrong)?;
        if let (&[rows, columns], true) = (&array.shape[..], array.by_columns) {
            values = (0..rows)
                .flat_map(|r| (0..columns).map(move |c| (r, c)))
                .map(|(r, c)| values[c * rows + r])
                .collect();
        }
        Ok(Numbers {
            shape: array.shape,
            values,
        })
    }

    /// The numbers of an array of objects that are numbers, as older models store targets.
    fn number_objects(&self, value: Value<'a>) -> Result<Option<Numbers>> {
        if self.class(value) != Some(Class::Reconstruct) {
            return Ok(None);
        }
        let &[_, shape, dtype, _, items] = self.state(value)? else {
            return Ok(None);
        };
        if self.dtype(dtype)? != Dtype::Object {
            return Ok(None);
        }
        let values = self.items(items)?.iter().map(|item| match item {
            Value::Float(number) => Ok(*number),
            other => Err(Error::malformed("pickle", "a number", format!("{other:?}"))),
        });
        Ok(Some(Numbers {
            shape: self.shape(shape)?,
            values: values.collect::<Result<_>>()?,
        }))
    }

    /// The records of an array, each as its bytes.
    pub(super) fn records(&self, value: Value<'a>, sizes: &[usize]) -> Result<Vec<&[u8]>> {
        let array = self.array(value)?;
        match array.dtype {
            Dtype::Record(size) if sizes.contains(&size) => {
                Ok(array.bytes.chunks_exact(size).collect())
            }
            other => Err(Error::malformed(
                "pickle",
                format!("records of {sizes:?} bytes"),
                format!("{other:?}"),
            )),
        }
    }

    /// The objects of an array of objects.
    pub(super) fn objects(&self, value: Value<'a>) -> Result<&[Value<'a>]> {
        match self.class(value) {
            Some(Class::Reconstruct) => match *self.state(value)? {
                [_, _, _, _, items] => self.items(items),
                _ => Err(Error::malformed(
                    "pickle",
                    "an array of objects",
                    "another state",
                )),
            },
            _ => self.items(value),
        }
    }

    /// An array, whether its bytes followed its wrapper or were pickled.
    fn array(&self, value: Value<'a>) -> Result<Array<'_>> {
        let wrong = || Error::malformed("pickle", "an array", format!("{value:?}"));
        if let Some(Node::Array(array)) = self.node(value) {
            return Ok(array.clone());
        }
        let (shape, dtype, by_columns, bytes) = match self.class(value) {
            Some(Class::Reconstruct) => match *self.state(value)? {
                [_, shape, dtype, order, bytes] => {
                    (shape, dtype, matches!(order, Value::Bool(true)), bytes)
                }
                _ => return Err(wrong()),
            },
            Some(Class::FromBuffer) => match *self.arguments(value)? {
                [bytes, dtype, shape, order] => {
                    (shape, dtype, matches!(order, Value::Text("F")), bytes)
                }
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        let wrapper = Wrapper {
            shape: self.shape(shape)?,
            dtype: self.dtype(dtype)?,
            by_columns,
            aligned: false,
        };
        let bytes = self.bytes(bytes).ok_or_else(wrong)?;
        if wrapper.dtype == Dtype::Object || wrapper.size() != Some(bytes.len()) {
            return Err(wrong());
        }
        Ok(wrapper.array(bytes))
    }

    fn shape(&self, value: Value<'a>) -> Result<Vec<usize>> {
        let items = self.items(value)?;
        if items.len() > 4 {
            return Err(Error::malformed(
                "pickle",
                "at most 4 dimensions",
                items.len().to_string(),
            ));
        }
        let dimension = |value: &Value<'a>| match value {
            Value::Int(n) => usize::try_from(*n).ok(),
            _ => None,
        };
        let shape: Option<Vec<usize>> = items.iter().map(dimension).collect();
        shape.ok_or_else(|| Error::malformed("pickle", "a shape", format!("{items:?}")))
    }

    fn dtype(&self, value: Value<'a>) -> Result<Dtype> {
        let wrong = || {
            Error::malformed(
                "pickle",
                "a kind of little-endian number",
                format!("{value:?}"),
            )
        };
        if self.class(value) != Some(Class::Dtype) {
            return Err(wrong());
        }
        let state = self.state(value).unwrap_or(&[]);
        if matches!(state.get(1), Some(Value::Text(">"))) {
            return Err(wrong());
        }
        match self.arguments(value)?.first() {
            Some(Value::Text(text)) => Dtype::parse(text).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }

    fn bytes(&self, value: Value<'a>) -> Option<&[u8]> {
        match (value, self.node(value)) {
            (Value::Bytes(bytes), _) => Some(bytes),
            (_, Some(Node::Decoded(bytes))) => Some(bytes),
            _ => None,
        }
    }
}

//! Rows and watts as Arrow streams: <https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format>.
//!
//! The library reads the messages' heads and writes answers. Values are taken from the bodies here: of the few kinds that can
//! be features, and within the bounds that the heads tell only after these were compared with what is there.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, RecordBatch};
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::writer::StreamWriter;
use arrow_ipc::{Endianness, Message, MessageHeader, root_as_message};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use kepler_core::model::Component;
use kepler_core::protocol::{Estimate, EstimateQuery, Refusal, Watts};
use serde_json::{Map, Value};

use super::reply::refused;

/// What such a stream is called in `Content-Type` and `Accept`.
pub(super) const KIND: &str = "application/vnd.apache.arrow.stream";

/// Values that are read: more are not predicted from at once.
const VALUES: usize = 4 << 20;
/// The longest head of a message: names and types of a few hundred columns, with what other programs say of them.
const HEAD: usize = 256 << 10;

/// A question whose rows are a stream; the rest of it stands in the URL, in the names that it has in JSON.
///
/// # Errors
/// What is wrong with one of them.
pub(super) fn query(items: Vec<(String, String)>, body: &[u8]) -> Result<EstimateQuery, Refusal> {
    let columns = Columns::read(body).map_err(|why| refused(format!("the Arrow stream: {why}")))?;
    let mut asked = Map::new();
    for (name, value) in items {
        let value = match name.as_str() {
            "machine_spec" | "node_type" => {
                serde_json::from_str(&value).map_err(|e| refused(format!("{name}: {e}")))?
            }
            "features" | "rows" => {
                return Err(refused(format!("{name}: the stream has them")));
            }
            _ => Value::String(value),
        };
        asked.insert(name, value);
    }
    for name in ["features", "rows"] {
        asked.insert(name.to_owned(), Value::Array(Vec::new()));
    }
    let query = serde_json::from_value(Value::Object(asked));
    let query: EstimateQuery = query.map_err(|e| refused(e.to_string()))?;
    query.with_rows(columns.names, columns.values)
}

/// Watts by row: a column for each part of the machine, and beside it the ends of its intervals where they are known.
///
/// # Errors
/// That they could not be written.
pub(super) fn answer(estimate: &Estimate) -> Result<Vec<u8>, Refusal> {
    written(estimate).map_err(|e| Refusal {
        status: 500,
        ..refused(e.to_string())
    })
}

fn written(estimate: &Estimate) -> Result<Vec<u8>, ArrowError> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::<ArrayRef>::new());
    for (component, watts) in &estimate.components {
        let name = format!("{component}_power");
        let about = about(*component, watts);
        let low = watts.low.as_ref().map(|low| (format!("{name}_low"), low));
        let high = watts
            .high
            .as_ref()
            .map(|high| (format!("{name}_high"), high));
        for (name, values) in [Some((name, &watts.watts)), low, high]
            .into_iter()
            .flatten()
        {
            let field = Field::new(name, DataType::Float64, false);
            fields.push(field.with_metadata(about.clone()));
            arrays.push(Arc::new(Float64Array::from(values.clone())));
        }
    }
    fields.push(Field::new("in_range", DataType::Boolean, false));
    arrays.push(Arc::new(BooleanArray::from(estimate.in_range.clone())));
    let model = HashMap::from([("model".to_owned(), estimate.model.to_string())]);
    let schema = Arc::new(Schema::new_with_metadata(fields, model));
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    writer.write(&RecordBatch::try_new(schema, arrays)?)?;
    writer.into_inner()
}

/// What is said of a column beside its values.
fn about(component: Component, watts: &Watts) -> HashMap<String, String> {
    let level = watts.level.map(|level| ("level", level.to_string()));
    let mae = watts.mae.map(|mae| ("mae", mae.to_string()));
    let basis = watts.basis.map(|basis| ("basis", serde_json::json!(basis)));
    let basis = basis.and_then(|(key, basis)| Some((key, basis.as_str()?.to_owned())));
    let unit = [
        ("component", component.to_string()),
        ("unit", "W".to_owned()),
    ];
    let all = unit.into_iter().chain(level).chain(mae).chain(basis);
    all.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The columns of a stream.
#[derive(Debug, Default)]
struct Columns {
    names: Vec<String>,
    /// One row behind the other.
    values: Vec<f64>,
}

impl Columns {
    fn read(mut stream: &[u8]) -> Result<Self, String> {
        let mut columns = Self::default();
        let mut kinds = None;
        while let Some((message, body)) = next(&mut stream)? {
            match (message.header_type(), &kinds) {
                (MessageHeader::Schema, None) => {
                    let fields = fields(&message)?;
                    columns.names = fields.iter().map(|f| f.name().clone()).collect();
                    kinds = Some(fields.iter().map(kind).collect::<Result<Vec<Kind>, _>>()?);
                }
                (MessageHeader::RecordBatch, Some(kinds)) => columns.add(&message, body, kinds)?,
                (other, _) => return Err(format!("a message of kind {other:?} is not expected")),
            }
        }
        match kinds {
            Some(_) => Ok(columns),
            None => Err("there is no schema".to_owned()),
        }
    }

    fn add(&mut self, message: &Message<'_>, body: &[u8], kinds: &[Kind]) -> Result<(), String> {
        let batch = message.header_as_record_batch();
        let batch = batch.ok_or("a batch without a head")?;
        if batch.compression().is_some() {
            return Err("a compressed batch; expected one that is not".to_owned());
        }
        let (nodes, buffers) = (batch.nodes(), batch.buffers());
        let nodes = nodes.iter().flatten();
        // Each column has two buffers: which values are there, and the values.
        let mut buffers = buffers.iter().flatten().skip(1).step_by(2);
        let mut columns = Vec::new();
        for (node, (name, kind)) in nodes.zip(self.names.iter().zip(kinds)) {
            if node.length() != batch.length() || node.null_count() != 0 {
                return Err(format!("{name}: expected a value in each row"));
            }
            let buffer = buffers.next().ok_or("a column without values")?;
            let bytes = (|| {
                let from = usize::try_from(buffer.offset()).ok()?;
                let size = usize::try_from(node.length()).ok()?;
                let end = from.checked_add(size.checked_mul(kind.bytes)?)?;
                body.get(from..end)
            })();
            let bytes = bytes.ok_or_else(|| format!("{name}: its values are not there"))?;
            columns.push(bytes.chunks_exact(kind.bytes).map(kind.value));
        }
        if columns.len() != kinds.len() {
            let (has, wants) = (columns.len(), kinds.len());
            return Err(format!("a batch of {has} columns, where {wants} are told"));
        }
        // All columns are as long as the first one, whose values are in the body.
        let rows = columns.first().map_or(0, ExactSizeIterator::len);
        if self
            .values
            .len()
            .saturating_add(rows.saturating_mul(columns.len()))
            > VALUES
        {
            return Err(format!(
                "more than {VALUES} values: ask for fewer rows at a time"
            ));
        }
        for _ in 0..rows {
            self.values
                .extend(columns.iter_mut().filter_map(Iterator::next));
        }
        Ok(())
    }
}

/// How the values of a column are read.
struct Kind {
    bytes: usize,
    value: fn(&[u8]) -> f64,
}

fn kind(field: &Arc<Field>) -> Result<Kind, String> {
    macro_rules! kind {
        ($number:ty) => {
            Kind {
                bytes: size_of::<$number>(),
                // Features are counts and rates: what a 64 bit integer loses here is lost in JSON, too.
                value: |bytes| match bytes.try_into() {
                    Ok(bytes) => <$number>::from_le_bytes(bytes) as f64,
                    Err(_) => f64::NAN,
                },
            }
        };
    }
    #[expect(clippy::cast_lossless, reason = "one form for all kinds")]
    Ok(match field.data_type() {
        DataType::Float64 => kind!(f64),
        DataType::Float32 => kind!(f32),
        DataType::Int8 => kind!(i8),
        DataType::Int16 => kind!(i16),
        DataType::Int32 => kind!(i32),
        DataType::Int64 => kind!(i64),
        DataType::UInt8 => kind!(u8),
        DataType::UInt16 => kind!(u16),
        DataType::UInt32 => kind!(u32),
        DataType::UInt64 => kind!(u64),
        other => {
            let name = field.name();
            return Err(format!("{name} is of type {other}; expected numbers"));
        }
    })
}

fn fields(message: &Message<'_>) -> Result<Vec<Arc<Field>>, String> {
    let schema = message
        .header_as_schema()
        .ok_or("a schema without a head")?;
    if schema.endianness() != Endianness::Little {
        return Err("its numbers are big-endian; expected little-endian".to_owned());
    }
    let schema = try_fb_to_schema(schema).map_err(|e| e.to_string())?;
    Ok(schema.fields().iter().map(Arc::clone).collect())
}

/// Takes the next message and its body off a stream; none at its end.
fn next<'a>(stream: &mut &'a [u8]) -> Result<Option<(Message<'a>, &'a [u8])>, String> {
    let cut = || "it breaks off".to_owned();
    let mut word = || {
        let word = stream.split_off(..4)?;
        Some(u32::from_le_bytes(word.try_into().ok()?))
    };
    let length = match word() {
        // Since version 0.15 there is a mark before the length.
        Some(u32::MAX) => word().ok_or_else(cut)?,
        Some(length) => length,
        None if stream.is_empty() => 0,
        None => return Err(cut()),
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length == 0 {
        return Ok(None);
    }
    if length > HEAD {
        return Err(format!(
            "the head of a message has {length} bytes (limit {HEAD})"
        ));
    }
    let head = stream.split_off(..length).ok_or_else(cut)?;
    let message = root_as_message(head).map_err(|e| format!("the head of a message: {e}"))?;
    let length = usize::try_from(message.bodyLength()).map_err(|_| cut())?;
    let body = stream.split_off(..length).ok_or_else(cut)?;
    Ok(Some((message, body)))
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int16Array, StringArray, UInt64Array};

    use super::*;

    fn stream(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.write(&batch.slice(1, 1)).unwrap();
        writer.into_inner().unwrap()
    }

    fn good() -> Vec<u8> {
        stream(vec![
            ("a", Arc::new(Float64Array::from(vec![0.5, -2.0]))),
            ("b", Arc::new(Int16Array::from(vec![-3, 4]))),
            ("c", Arc::new(UInt64Array::from(vec![u64::MAX, 1]))),
        ])
    }

    #[test]
    fn batches_of_numbers_are_rows() {
        let columns = Columns::read(&good()).unwrap();
        assert_eq!(columns.names, ["a", "b", "c"]);
        // 2^64 is the number next to 2^64 - 1.
        let most = 18_446_744_073_709_551_616.0;
        let rows = [0.5, -3.0, most, -2.0, 4.0, 1.0, -2.0, 4.0, 1.0];
        assert_eq!(columns.values, rows);
    }

    #[test]
    fn what_is_no_number_in_each_row_is_refused() {
        let holes: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None]));
        let words: ArrayRef = Arc::new(StringArray::from(vec!["1", "2"]));
        for (column, says) in [(holes, "a: expected a value"), (words, "expected numbers")] {
            let error = Columns::read(&stream(vec![("a", column)])).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        for (bytes, says) in [
            (&b""[..], "no schema"),
            (b"{}", "breaks off"),
            (b"{\"rows\": []}", "limit"),
            (&[0xff; 100], "limit"),
            (
                &[0xff, 0xff, 0xff, 0xff, 8, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1],
                "head",
            ),
        ] {
            let error = Columns::read(bytes).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let error = query(vec![("rows".to_owned(), "[]".to_owned())], &good()).unwrap_err();
        assert!(error.reason.contains("the stream has them"));
        let many: ArrayRef = Arc::new(arrow_array::Int8Array::from(vec![0; VALUES]));
        let error = Columns::read(&stream(vec![("a", many)])).unwrap_err();
        assert!(error.contains("fewer rows"), "{error}");
    }

    #[test]
    fn no_spoiled_stream_does_harm() {
        let good = good();
        for length in 0..good.len() {
            let _ = Columns::read(&good[..length]);
        }
        // Each byte as others: lengths, offsets and counts become all that they can be.
        for at in 0..good.len() {
            for value in [
                0,
                1,
                2,
                7,
                0x7f,
                0x80,
                0xff,
                good[at] ^ 0x10,
                good[at].wrapping_add(1),
            ] {
                let mut spoiled = good.clone();
                spoiled[at] = value;
                if let Ok(columns) = Columns::read(&spoiled) {
                    assert!(columns.values.len() <= good.len() && columns.names.len() <= 3);
                }
            }
        }
    }
}

//! Reads the values in a joblib or pickle file without running anything in it.
//!
//! A pickle is a program for a stack machine that may call any function. This machine knows a closed list of names and
//! calls none of them: an object is its class, its arguments and its state. Values are small copies or numbers of nodes
//! in one list, so nothing here recurses, loops in the data do no harm, and memory stays in proportion to the input.

use std::collections::HashMap;

use super::pickle_array::{Array, Dtype};
use crate::error::{Error, Result};

/// A value on the machine's stack.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Class(Class),
    /// A node of [`Pickle::nodes`].
    Node(usize),
}

/// What a value that holds others is.
#[derive(Debug)]
pub(super) enum Node<'a> {
    Sequence(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    Object {
        class: Class,
        arguments: Value<'a>,
        state: Value<'a>,
    },
    /// Bytes that were spelled as text.
    Decoded(Vec<u8>),
    Array(Array<'a>),
}

/// The names that a pickle may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    ArrayWrapper,
    Ndarray,
    Dtype,
    Scalar,
    Reconstruct,
    FromBuffer,
    Encode,
    MaxAbsScaler,
    MinMaxScaler,
    StandardScaler,
    PolynomialFeatures,
    LinearRegression,
    SgdRegressor,
    /// Steps one after the other.
    Pipeline,
    Svr,
    KNeighborsRegressor,
    GradientBoosting,
    DummyRegressor,
    DecisionTree,
    Tree,
    CurveFit,
    Exponential,
    Logarithmic,
    Logistic,
    /// A search tree over stored rows; its state is a tuple.
    KdTree,
    /// `newObj(class)`: an object of the class in its arguments.
    NewObject,
    /// A known name whose contents are of no use here.
    Opaque,
}

/// A pickle that was read: its nodes and the value it stands for.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Value<'a>,
}

/// Pickles inside pickles, at most.
const NESTING_LIMIT: u32 = 2;

impl<'a> Pickle<'a> {
    /// Reads a whole file.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the byte offset; [`Error::Unsupported`] for a name that is not on the list.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut machine = Machine {
            bytes,
            at: 0,
            pickle: Self {
                nodes: Vec::new(),
                root: Value::None,
            },
            decoded: 0,
        };
        machine.pickle.root = machine.run(NESTING_LIMIT)?;
        Ok(machine.pickle)
    }

    pub(super) fn root(&self) -> Value<'a> {
        self.root
    }

    pub(super) fn node(&self, value: Value<'a>) -> Option<&Node<'a>> {
        match value {
            Value::Node(node) => self.nodes.get(node),
            _ => None,
        }
    }

    /// The class of an object.
    pub(super) fn class(&self, value: Value<'a>) -> Option<Class> {
        match self.node(value) {
            Some(Node::Object { class, .. }) => Some(*class),
            _ => None,
        }
    }

    /// An attribute of an object, from the dictionary that is its state.
    pub(super) fn attribute(&self, object: Value<'a>, name: &str) -> Result<Value<'a>> {
        let state = match self.node(object) {
            Some(Node::Object { state, .. }) => self.node(*state),
            _ => None,
        };
        let found = match state {
            Some(Node::Dict(items)) => items
                .iter()
                .find(|(key, _)| matches!(key, Value::Text(text) if *text == name)),
            _ => None,
        };
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| Error::malformed("pickle", format!("an object with {name}"), "none"))
    }

    /// The items of a list or tuple.
    pub(super) fn items(&self, value: Value<'a>) -> Result<&[Value<'a>]> {
        match self.node(value) {
            Some(Node::Sequence(items)) => Ok(items),
            _ => Err(Error::malformed("pickle", "a list", format!("{value:?}"))),
        }
    }

    /// The tuple that is an object's state.
    pub(super) fn state(&self, object: Value<'a>) -> Result<&[Value<'a>]> {
        match self.node(object) {
            Some(Node::Object { state, .. }) => self.items(*state),
            _ => Err(Error::malformed(
                "pickle",
                "an object",
                format!("{object:?}"),
            )),
        }
    }

    /// The arguments that an object was made with.
    pub(super) fn arguments(&self, object: Value<'a>) -> Result<&[Value<'a>]> {
        match self.node(object) {
            Some(Node::Object { arguments, .. }) => self.items(*arguments),
            _ => Err(Error::malformed(
                "pickle",
                "an object",
                format!("{object:?}"),
            )),
        }
    }
}

/// The known names.
fn class(module: &str, name: &str) -> Option<Class> {
    Some(match (module, name) {
        ("joblib.numpy_pickle", "NumpyArrayWrapper") => Class::ArrayWrapper,
        ("numpy", "ndarray") => Class::Ndarray,
        ("numpy", "dtype") => Class::Dtype,
        ("numpy._core.multiarray" | "numpy.core.multiarray", "scalar") => Class::Scalar,
        ("numpy._core.multiarray" | "numpy.core.multiarray", "_reconstruct") => Class::Reconstruct,
        ("numpy._core.numeric" | "numpy.core.numeric", "_frombuffer") => Class::FromBuffer,
        ("_codecs", "encode") => Class::Encode,
        ("sklearn.preprocessing._data", "MaxAbsScaler") => Class::MaxAbsScaler,
        ("sklearn.preprocessing._data", "MinMaxScaler") => Class::MinMaxScaler,
        ("sklearn.preprocessing._data", "StandardScaler") => Class::StandardScaler,
        ("sklearn.preprocessing._polynomial", "PolynomialFeatures") => Class::PolynomialFeatures,
        ("sklearn.linear_model._base", "LinearRegression") => Class::LinearRegression,
        ("sklearn.linear_model._stochastic_gradient", "SGDRegressor") => Class::SgdRegressor,
        ("sklearn.pipeline", "Pipeline") => Class::Pipeline,
        ("sklearn.svm._classes", "SVR") => Class::Svr,
        ("sklearn.neighbors._regression", "KNeighborsRegressor") => Class::KNeighborsRegressor,
        ("sklearn.neighbors._kd_tree", "KDTree") => Class::KdTree,
        (
            "sklearn.neighbors._kd_tree"
            | "sklearn.neighbors._dist_metrics"
            | "sklearn.metrics._dist_metrics",
            "newObj",
        ) => Class::NewObject,
        ("sklearn.ensemble._gb", "GradientBoostingRegressor") => Class::GradientBoosting,
        ("sklearn.dummy", "DummyRegressor") => Class::DummyRegressor,
        ("sklearn.tree._classes", "DecisionTreeRegressor") => Class::DecisionTree,
        ("sklearn.tree._tree", "Tree") => Class::Tree,
        ("trainer.curvefit" | "train.trainer.curvefit", "CurveFitModel") => Class::CurveFit,
        ("train.trainer.ExponentialRegressionTrainer.main", "expo_func") => Class::Exponential,
        ("train.trainer.LogarithmicRegressionTrainer.main", "log_func") => Class::Logarithmic,
        ("train.trainer.LogisticRegressionTrainer.main", "logi_func") => Class::Logistic,
        ("sklearn.metrics._dist_metrics", "EuclideanDistance64" | "EuclideanDistance")
        | ("sklearn.neighbors._dist_metrics", "EuclideanDistance")
        | ("sklearn._loss.loss", "HalfSquaredError")
        | ("sklearn.ensemble._gb_losses", "LeastSquaresError")
        | ("sklearn._loss.link", "IdentityLink" | "Interval")
        | (
            "_loss" | "sklearn._loss._loss",
            "CyHalfSquaredError" | "__pyx_unpickle_CyHalfSquaredError",
        )
        | ("numpy.random._pickle", "__randomstate_ctor" | "__bit_generator_ctor")
        | ("numpy.random._mt19937", "MT19937")
        | ("numpy.random.bit_generator", "SeedSequence" | "__pyx_unpickle_SeedSequence")
        | (
            "train.trainer.ExponentialRegressionTrainer.main"
            | "train.trainer.LogarithmicRegressionTrainer.main"
            | "train.trainer.LogisticRegressionTrainer.main",
            "p0_func",
        ) => Class::Opaque,
        _ => return None,
    })
}

/// The stack machine.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    pickle: Pickle<'a>,
    /// Bytes decoded from text so far: the one thing that could outgrow the input.
    decoded: usize,
}

/// One pickle's own stack and memo.
#[derive(Default)]
struct Frame<'a> {
    stack: Vec<Value<'a>>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
}

impl<'a> Machine<'a> {
    fn run(&mut self, nesting: u32) -> Result<Value<'a>> {
        let mut frame = Frame::default();
        loop {
            let start = self.at;
            let opcode = self.byte()?;
            match opcode {
                b'.' => return self.pop(&mut frame),
                0x80 => {
                    let version = self.byte()?;
                    if !(2..=5).contains(&version) {
                        return Err(self.fail(
                            start,
                            "pickle protocol 2 to 5",
                            format!("{version}"),
                        ));
                    }
                }
                0x95 => {
                    // A frame's length is a hint for reading ahead; all bytes are here already.
                    self.take(8)?;
                }
                b'(' => frame.marks.push(frame.stack.len()),
                b'0' => {
                    self.pop(&mut frame)?;
                }
                b'1' => {
                    self.since_mark(&mut frame)?;
                }
                b'b' => self.build(&mut frame, nesting)?,
                b'c' | 0x93 => self.global(&mut frame, opcode)?,
                b'R' | 0x81 => self.call(&mut frame, opcode)?,
                b'q' | b'r' | 0x94 | b'h' | b'j' => self.memo(&mut frame, opcode)?,
                b'a'
                | b'e'
                | b's'
                | b'u'
                | b'l'
                | b't'
                | b'd'
                | b']'
                | b'}'
                | b')'
                | 0x85..=0x87 => {
                    self.container(&mut frame, opcode)?;
                }
                _ => {
                    let value = self.literal(opcode, start)?;
                    frame.stack.push(value);
                }
            }
        }
    }

    /// Numbers, text and bytes.
    fn literal(&mut self, opcode: u8, start: usize) -> Result<Value<'a>> {
        Ok(match opcode {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'K' => Value::Int(self.unsigned(1)?),
            b'M' => Value::Int(self.unsigned(2)?),
            b'J' => {
                let low = self.take(4)?;
                Value::Int(i32::from_le_bytes([low[0], low[1], low[2], low[3]]).into())
            }
            0x8a => {
                let length = self.length(1)?;
                self.long(length)?
            }
            b'G' => {
                let b = self.take(8)?;
                Value::Float(f64::from_be_bytes([
                    b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7],
                ]))
            }
            0x8c | b'X' | 0x8d => {
                let width = [(0x8c, 1), (b'X', 4), (0x8d, 8)];
                let length = self.length(width_of(&width, opcode))?;
                let text = std::str::from_utf8(self.take(length)?)
                    .map_err(|_utf8| self.fail(start, "UTF-8 text", "other bytes"))?;
                Value::Text(text)
            }
            b'C' | b'B' | 0x8e | 0x96 => {
                let width = [(b'C', 1), (b'B', 4), (0x8e, 8), (0x96, 8)];
                let length = self.length(width_of(&width, opcode))?;
                Value::Bytes(self.take(length)?)
            }
            _ => return Err(self.fail(start, "a known opcode", format!("{opcode:#04x}"))),
        })
    }

    /// Little-endian two's complement. Above eight bytes (seeds of random numbers) it stays bytes.
    fn long(&mut self, length: usize) -> Result<Value<'a>> {
        let bytes = self.take(length)?;
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        let Some(low) = wide.get_mut(..length) else {
            return Ok(Value::Bytes(bytes));
        };
        low.copy_from_slice(bytes);
        Ok(Value::Int(i64::from_le_bytes(wide)))
    }

    fn container(&mut self, frame: &mut Frame<'a>, opcode: u8) -> Result<()> {
        let start = self.at - 1;
        match opcode {
            b']' | b')' => self.push_node(frame, Node::Sequence(Vec::new())),
            b'}' => self.push_node(frame, Node::Dict(Vec::new())),
            b'l' | b't' => {
                let items = self.since_mark(frame)?;
                self.push_node(frame, Node::Sequence(items));
            }
            b'd' => {
                let items = self.since_mark(frame)?;
                let pairs = self.pairs(&items, start)?;
                self.push_node(frame, Node::Dict(pairs));
            }
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let items = self.top(frame, count)?;
                self.push_node(frame, Node::Sequence(items));
            }
            _ => {
                let items = match opcode {
                    b'a' => self.top(frame, 1)?,
                    b's' => self.top(frame, 2)?,
                    _ => self.since_mark(frame)?,
                };
                let pairs = match opcode {
                    b's' | b'u' => self.pairs(&items, start)?,
                    _ => Vec::new(),
                };
                match (self.top_node(frame)?, opcode) {
                    (Node::Sequence(list), b'a' | b'e') => list.extend(items),
                    (Node::Dict(dict), b's' | b'u') => dict.extend(pairs),
                    _ => {
                        return Err(self.fail(
                            start,
                            "a list or dictionary below",
                            "another value",
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    fn memo(&mut self, frame: &mut Frame<'a>, opcode: u8) -> Result<()> {
        let start = self.at - 1;
        let key = match opcode {
            b'q' | b'h' => self.byte()?.into(),
            b'r' | b'j' => {
                let b = self.take(4)?;
                u32::from_le_bytes([b[0], b[1], b[2], b[3]])
            }
            _ => u32::try_from(frame.memo.len()).unwrap_or(u32::MAX),
        };
        if matches!(opcode, b'h' | b'j') {
            let value = frame.memo.get(&key);
            let value = *value.ok_or_else(|| self.fail(start, "a kept value", format!("{key}")))?;
            frame.stack.push(value);
        } else {
            let value = self.pop(frame)?;
            frame.stack.push(value);
            frame.memo.insert(key, value);
        }
        Ok(())
    }

    fn global(&mut self, frame: &mut Frame<'a>, opcode: u8) -> Result<()> {
        let start = self.at - 1;
        let (module, name) = if opcode == b'c' {
            (self.line()?, self.line()?)
        } else {
            match self.top(frame, 2)?[..] {
                [Value::Text(module), Value::Text(name)] => (module, name),
                _ => return Err(self.fail(start, "a module and a name", "other values")),
            }
        };
        let class = class(module, name).ok_or_else(|| Error::Unsupported {
            what: format!("pickle byte {start}: {module}.{name}"),
            why: "models may hold only classes on a closed list".to_owned(),
            hint: String::new(),
        })?;
        frame.stack.push(Value::Class(class));
        Ok(())
    }

    fn call(&mut self, frame: &mut Frame<'a>, opcode: u8) -> Result<()> {
        let start = self.at - 1;
        let [Value::Class(class), arguments] = self.top(frame, 2)?[..] else {
            return Err(self.fail(start, "a class and its arguments", "other values"));
        };
        let items = match arguments {
            Value::Node(node) => match &self.pickle.nodes[node] {
                Node::Sequence(items) => items.as_slice(),
                _ => &[],
            },
            _ => &[],
        };
        let node = match (class, items, opcode) {
            (Class::Encode, &[Value::Text(text), Value::Text("latin1")], b'R') => {
                self.decode(text, start)?
            }
            (Class::NewObject, &[Value::Class(of)], b'R') => Node::Object {
                class: of,
                arguments,
                state: Value::None,
            },
            (Class::Encode | Class::NewObject, ..) => {
                return Err(self.fail(start, "its usual arguments", "others"));
            }
            _ => Node::Object {
                class,
                arguments,
                state: Value::None,
            },
        };
        self.push_node(frame, node);
        Ok(())
    }

    /// Bytes spelled as text, each character being one byte.
    fn decode(&mut self, text: &'a str, start: usize) -> Result<Node<'a>> {
        self.decoded += text.len();
        if self.decoded > self.bytes.len() {
            return Err(self.fail(start, "fewer bytes than the file has", "more decoded text"));
        }
        let bytes: std::result::Result<Vec<u8>, _> =
            text.chars().map(|c| u8::try_from(u32::from(c))).collect();
        bytes
            .map(Node::Decoded)
            .map_err(|_wide| self.fail(start, "characters of one byte", "a wider one"))
    }

    fn build(&mut self, frame: &mut Frame<'a>, nesting: u32) -> Result<()> {
        let start = self.at - 1;
        let new_state = self.pop(frame)?;
        let Node::Object { class, state, .. } = self.top_node(frame)? else {
            return Err(self.fail(start, "an object to set up", "another value"));
        };
        *state = new_state;
        if *class == Class::ArrayWrapper {
            let array = self.array(new_state, nesting, start)?;
            self.pop(frame)?;
            frame.stack.push(array);
        }
        Ok(())
    }

    /// The array that follows its wrapper in the file: raw bytes, or a pickle of its own for objects.
    fn array(&mut self, state: Value<'a>, nesting: u32, start: usize) -> Result<Value<'a>> {
        let wrapper = self.pickle.wrapper(state);
        let wrapper = wrapper.map_err(|e| self.fail(start, "an array wrapper", e.to_string()))?;
        if matches!(wrapper.dtype, Dtype::Object) {
            let nesting = nesting
                .checked_sub(1)
                .ok_or_else(|| self.fail(start, "fewer nested pickles", "one more"))?;
            return self.run(nesting);
        }
        if wrapper.aligned {
            let padding = usize::from(self.byte()?);
            self.take(padding)?;
        }
        let size = wrapper
            .size()
            .ok_or_else(|| self.fail(start, "an array", "one too large"))?;
        let bytes = self.take(size)?;
        self.pickle.nodes.push(Node::Array(wrapper.array(bytes)));
        Ok(Value::Node(self.pickle.nodes.len() - 1))
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..count).ok_or_else(|| {
            self.fail(
                self.at,
                &format!("{count} bytes"),
                format!("{} left", rest.len()),
            )
        })?;
        self.at += count;
        Ok(taken)
    }

    /// Text up to a line feed.
    fn line(&mut self) -> Result<&'a str> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let end = rest.iter().position(|b| *b == b'\n');
        let line = end.and_then(|end| std::str::from_utf8(&rest[..end]).ok());
        let line = line.ok_or_else(|| self.fail(start, "a line of text", "none"))?;
        self.at += line.len() + 1;
        Ok(line)
    }

    /// A little-endian number of `width` bytes, at most 7 of them.
    fn unsigned(&mut self, width: usize) -> Result<i64> {
        let bytes = self.take(width)?;
        Ok(bytes.iter().rev().fold(0, |n, b| (n << 8) | i64::from(*b)))
    }

    /// A length; one that the file cannot hold fails when it is taken.
    fn length(&mut self, width: usize) -> Result<usize> {
        let bytes = self.take(width)?;
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(bytes);
        Ok(usize::try_from(u64::from_le_bytes(wide)).unwrap_or(usize::MAX))
    }

    fn push_node(&mut self, frame: &mut Frame<'a>, node: Node<'a>) {
        self.pickle.nodes.push(node);
        frame.stack.push(Value::Node(self.pickle.nodes.len() - 1));
    }

    fn pop(&self, frame: &mut Frame<'a>) -> Result<Value<'a>> {
        Ok(self.top(frame, 1)?[0])
    }

    /// Takes the topmost values above the last mark.
    fn top(&self, frame: &mut Frame<'a>, count: usize) -> Result<Vec<Value<'a>>> {
        let floor = frame.marks.last().copied().unwrap_or(0);
        let from = frame
            .stack
            .len()
            .checked_sub(count)
            .filter(|from| *from >= floor);
        let from = from.ok_or_else(|| self.fail(self.at, &format!("{count} values"), "fewer"))?;
        Ok(frame.stack.split_off(from))
    }

    fn since_mark(&self, frame: &mut Frame<'a>) -> Result<Vec<Value<'a>>> {
        let mark = frame
            .marks
            .pop()
            .ok_or_else(|| self.fail(self.at, "a mark", "none"))?;
        Ok(frame.stack.split_off(mark))
    }

    fn top_node(&mut self, frame: &Frame<'a>) -> Result<&mut Node<'a>> {
        match frame.stack.last() {
            Some(Value::Node(node)) => Ok(&mut self.pickle.nodes[*node]),
            _ => Err(self.fail(self.at, "an object on the stack", "another value")),
        }
    }

    fn pairs(&self, items: &[Value<'a>], start: usize) -> Result<Vec<(Value<'a>, Value<'a>)>> {
        if !items.len().is_multiple_of(2) {
            return Err(self.fail(start, "keys and values", "an odd number"));
        }
        Ok(items
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
            .collect())
    }

    fn fail(&self, at: usize, want: &str, found: impl AsRef<str>) -> Error {
        Error::malformed(format!("pickle byte {at}"), want, found)
    }
}

fn width_of(widths: &[(u8, usize)], opcode: u8) -> usize {
    widths
        .iter()
        .find(|(code, _)| *code == opcode)
        .map_or(1, |(_, width)| *width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn fails(bytes: &[u8]) -> Error {
        Pickle::read(bytes).unwrap_err()
    }

    #[test]
    fn a_call_of_the_system_is_refused_by_name_and_offset() {
        let error = fails(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(
            error.to_string().starts_with("pickle byte 2: os.system"),
            "{error}"
        );
        let stacked = fails(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02ls\x85R.");
        assert!(stacked.to_string().contains("posix.system"), "{stacked}");
    }

    #[test]
    fn a_gigabyte_that_is_not_there_is_an_error_with_its_offset() {
        let error = fails(b"\x80\x04B\x00\x00\x00\x40abc.");
        assert_eq!(
            error.to_string(),
            "pickle byte 7: expected 1073741824 bytes, found \"4 left\""
        );
        fails(b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff.");
    }

    #[test]
    fn a_list_that_holds_itself_is_read() {
        // l = []; l.append(l), a million times over in depth if it were walked.
        let pickle = Pickle::read(b"\x80\x04]\x94h\x00a.").unwrap();
        assert_eq!(pickle.items(pickle.root()).unwrap().len(), 1);
    }

    #[test]
    fn nesting_costs_no_stack() {
        let mut deep = b"\x80\x04N".to_vec();
        deep.extend(std::iter::repeat_n(0x85, 1_000_000));
        deep.push(b'.');
        Pickle::read(&deep).unwrap();
    }

    #[test]
    fn text_cannot_be_decoded_over_and_over() {
        let mut bytes = b"\x80\x02c_codecs\nencode\nq\x00X\xe8\x03\x00\x00".to_vec();
        bytes.extend([b'a'; 1000]);
        bytes.extend(b"q\x01X\x06\x00\x00\x00latin1\x86R");
        for _ in 0..20 {
            bytes.extend(b"0h\x00h\x01X\x06\x00\x00\x00latin1\x86R");
        }
        bytes.push(b'.');
        assert!(fails(&bytes).to_string().contains("more decoded text"));
    }

    #[test]
    fn every_cut_is_an_error() {
        let whole = b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01aK\x01\x8c\x01bG?\xf0\x00\x00\x00\x00\x00\x00u.";
        Pickle::read(whole).unwrap();
        for end in 0..whole.len() {
            assert_eq!(
                fails(&whole[..end]).kind(),
                ErrorKind::Malformed,
                "cut at {end}"
            );
        }
    }
}

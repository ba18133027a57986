//! The stack machine that a pickle is a program for, with nothing in it that could be called.

use std::collections::HashMap;

use super::pickle::{Class, Node, Pickle, Value, class};
use super::pickle_array::Dtype;
use crate::error::{Error, Result};

/// Pickles inside pickles, at most.
const NESTING_LIMIT: u32 = 2;

/// What a file holds.
///
/// # Errors
/// As [`Pickle::read`].
pub(super) fn run(bytes: &[u8]) -> Result<Pickle<'_>> {
    let mut machine = Machine {
        bytes,
        at: 0,
        pickle: Pickle {
            nodes: Vec::new(),
            root: Value::None,
        },
        decoded: 0,
    };
    machine.pickle.root = machine.run(NESTING_LIMIT)?;
    Ok(machine.pickle)
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

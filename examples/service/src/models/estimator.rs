//! The model of an estimator, learnt from what it answers on its socket.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kepler_core::model::EnergySourceName;
use kepler_core::protocol::estimator::RequestEnd;
use kepler_core::protocol::{Learnt, Want};

use super::Answer;

pub(super) struct Estimator {
    socket: PathBuf,
    /// How many times this machine's CPUs its models' machines have. The older one tells it in its first answer only.
    stretches: BTreeMap<EnergySourceName, f64>,
}

/// A question and its answer may take so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest answer in bytes: some twenty loads of a few components.
const LIMIT: usize = 1 << 20;

impl Estimator {
    pub(super) fn at(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
            stretches: BTreeMap::new(),
        }
    }

    pub(super) fn ask(&mut self, want: &Want) -> Result<Answer, String> {
        let known = self.stretches.get(&want.source).copied();
        let stretch = known.unwrap_or(1.0);
        let mut learnt = self.learn(want, stretch)?;
        let ratio = learnt.as_ref().ok().map(|l| l.core_ratio.unwrap_or(1.0));
        if let (None, Some(ratio)) = (known, ratio) {
            let stretch = 1.0 / ratio;
            self.stretches.insert(want.source, stretch);
            if (stretch - 1.0).abs() > f64::EPSILON {
                learnt = self.learn(want, stretch)?;
            }
        }
        Ok(match learnt {
            Ok(learnt) => Answer::Model(learnt.model.into()),
            Err(none) => Answer::None(none),
        })
    }

    /// What it shows of its model, or its words where it has none.
    fn learn(&self, want: &Want, stretch: f64) -> Result<Result<Learnt, String>, String> {
        let reply = self.talk(&want.question(stretch));
        let reply = reply.map_err(|e| e.to_string())?;
        match want.learn(&reply, stretch) {
            Ok(learnt) => Ok(Ok(learnt)),
            Err(e) if e.kind() == kepler_core::ErrorKind::NotFound => Ok(Err(e.to_string())),
            Err(e) => Err(e.to_string()),
        }
    }

    fn talk(&self, question: &str) -> std::io::Result<Vec<u8>> {
        let begun = Instant::now();
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(question.as_bytes())?;
        let (mut reply, mut end, mut piece) = (Vec::new(), RequestEnd::default(), [0; 4096]);
        while reply.len() < LIMIT {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            stream.set_read_timeout(Some(left))?;
            let count = match stream.read(&mut piece) {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            reply.extend_from_slice(&piece[..count]);
            if count == 0 || end.find(&piece[..count]).is_some() {
                return Ok(reply);
            }
        }
        Err(std::io::Error::new(
            ErrorKind::InvalidData,
            format!("it answers more than {LIMIT} bytes"),
        ))
    }
}

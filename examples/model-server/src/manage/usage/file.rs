//! Figures in one file, by an embedded store whose commits are whole or not there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::figures::{Figures, Totals, seconds, time};
use super::store::{Batch, Held, Store};

/// A model's figures: pulls, requests, inferences, errors, and when it was last used in seconds since 1970 (0 for never).
type Row = (u64, u64, u64, u64, u64);

const MODELS: TableDefinition<'_, &str, Row> = TableDefinition::new("models");
/// The last batch, by its writer: what tells whether a batch whose commit failed is in nevertheless.
const LAST: TableDefinition<'_, &str, u64> = TableDefinition::new("last");
/// Memory for pages; a database of all public models has 2 MiB.
const CACHE: usize = 1 << 20;

/// A file that this process alone has open.
pub(super) struct File {
    path: PathBuf,
    /// None after an error, which the store does not go on after: it is opened anew.
    database: Option<Database>,
}

impl File {
    /// Opens the file, made if it is not there.
    ///
    /// # Errors
    /// What is wrong and what to do, where it cannot be opened, is open elsewhere, or is something else.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|e| format!("cannot make the folder {}: {e}", folder.display()))?;
        }
        let mut file = Self {
            path: path.to_owned(),
            database: None,
        };
        file.with(|_| Ok(()))?;
        Ok(file)
    }

    fn with<T>(
        &mut self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, String> {
        let database = match self.database.take() {
            Some(database) => database,
            None => database(&self.path).map_err(|e| self.explain(&e))?,
        };
        let done = work(&database).map_err(|e| self.explain(&e))?;
        self.database = Some(database);
        Ok(done)
    }

    fn explain(&self, error: &redb::Error) -> String {
        let path = self.path.display();
        match error {
            redb::Error::DatabaseAlreadyOpen => format!(
                "{path}: another process counts here; give each its own file, or share postgres:// or configmap://"
            ),
            redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) => {
                format!("{path} is no store of usage figures ({error}); move it away to begin anew")
            }
            redb::Error::Io(io) if io.kind() == std::io::ErrorKind::InvalidData => {
                format!("{path} is no store of usage figures ({io}); move it away to begin anew")
            }
            _ => format!("{path}: {error}"),
        }
    }
}

fn database(path: &Path) -> Result<Database, redb::Error> {
    let database = Database::builder().set_cache_size(CACHE).create(path)?;
    let begun = database.begin_write()?;
    begun.open_table(MODELS)?;
    begun.open_table(LAST)?;
    begun.commit()?;
    Ok(database)
}

impl Store for File {
    fn add(&mut self, batch: &Batch) -> Result<Held, String> {
        self.with(|database| {
            let begun = database.begin_write()?;
            let mut held = Totals::new();
            {
                let (mut models, mut last) = (begun.open_table(MODELS)?, begun.open_table(LAST)?);
                let known = last.get(batch.writer.as_str())?.map(|n| n.value());
                let new = known.is_none_or(|number| number < batch.number);
                if known.is_none() {
                    last.retain(|_, _| false)?;
                }
                last.insert(batch.writer.as_str(), batch.number)?;
                for (name, growth) in &batch.growth {
                    let kept = models.get(name.as_str())?.map(|row| row.value());
                    let mut figures = kept.map(from_row).unwrap_or_default();
                    if new {
                        figures.add(growth);
                        models.insert(name.as_str(), row(&figures))?;
                    }
                    held.insert(name.clone(), figures);
                }
            }
            begun.commit()?;
            Ok(Held::Changed(held))
        })
    }

    fn read(&mut self) -> Result<Totals, String> {
        self.with(|database| {
            let models = database.begin_read()?.open_table(MODELS)?;
            let mut totals = Totals::new();
            for entry in models.iter()? {
                let (name, row) = entry?;
                totals.insert(name.value().to_owned(), from_row(row.value()));
            }
            Ok(totals)
        })
    }

    fn reset(&mut self) -> Result<(), String> {
        self.with(|database| {
            let begun = database.begin_write()?;
            begun.open_table(MODELS)?.retain(|_, _| false)?;
            begun.commit()?;
            Ok(())
        })
    }

    /// Half of what may be lost: a commit takes its time too.
    fn every(&self) -> Duration {
        Duration::from_millis(500)
    }

    fn is_shared(&self) -> bool {
        false
    }
}

fn row(figures: &Figures) -> Row {
    (
        figures.pulls,
        figures.requests,
        figures.inferences,
        figures.errors,
        figures.last_used.map_or(0, seconds),
    )
}

fn from_row((pulls, requests, inferences, errors, last_used): Row) -> Figures {
    Figures {
        pulls,
        requests,
        inferences,
        errors,
        last_used: time(last_used),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(number: u64, requests: u64) -> Batch {
        let figures = Figures {
            requests,
            ..Figures::default()
        };
        Batch {
            writer: "w".to_owned(),
            number,
            growth: Totals::from([("m".to_owned(), figures)]),
        }
    }

    #[test]
    fn a_batch_counts_once_and_survives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/usage.db");
        let mut file = File::open(&path).unwrap();
        file.add(&batch(1, 5)).unwrap();
        file.add(&batch(1, 5)).unwrap();
        file.add(&batch(2, 7)).unwrap();
        assert!(File::open(&path).err().unwrap().contains("another process"));
        drop(file);
        let mut file = File::open(&path).unwrap();
        assert_eq!(file.read().unwrap()["m"].requests, 12);
        file.reset().unwrap();
        assert!(file.read().unwrap().is_empty());
    }

    #[test]
    fn what_is_no_store_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usage.db");
        std::fs::write(&path, "my thesis, the only copy").unwrap();
        let error = File::open(&path).err().unwrap();
        assert!(error.contains("move it away"), "{error}");
        let kept = kepler_core::Host::default().text(&path).unwrap();
        assert_eq!(kept, "my thesis, the only copy");
    }
}

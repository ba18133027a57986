//! Figures of several servers in one PostgreSQL database, added up there.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use postgres::config::Config;
use postgres::{Client, Row, Transaction};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::figures::{Figures, Totals, seconds, time};
use super::store::{Batch, Held, Store};
use crate::manage::client;

/// A database that is connected to when it is needed.
pub(super) struct Postgres {
    config: Config,
    /// The authorities to trust instead of those of the system; read at each connection.
    roots: Option<PathBuf>,
    client: Option<Client>,
}

/// How long the server may be silent.
const SILENCE: Duration = Duration::from_secs(4);

/// The lock is for `CREATE ... IF NOT EXISTS`, which fails where two servers do it at once.
const TABLES: &str = "
    SET LOCAL client_min_messages = warning;
    SELECT pg_advisory_xact_lock(7311029);
    CREATE TABLE IF NOT EXISTS kepler_model_usage (
        model text PRIMARY KEY,
        pulls bigint NOT NULL,
        requests bigint NOT NULL,
        inferences bigint NOT NULL,
        errors bigint NOT NULL,
        last_used bigint NOT NULL -- seconds since 1970, 0 for never
    );
    CREATE TABLE IF NOT EXISTS kepler_model_usage_writers (
        writer text PRIMARY KEY,
        batch bigint NOT NULL,
        seen timestamptz NOT NULL
    );
    DELETE FROM kepler_model_usage_writers WHERE seen < now() - interval '7 days'";
const CLAIM: &str = "
    INSERT INTO kepler_model_usage_writers AS w (writer, batch, seen) VALUES ($1, $2, now())
    ON CONFLICT (writer) DO UPDATE SET batch = excluded.batch, seen = excluded.seen
    WHERE w.batch < excluded.batch";
/// In one order of models for all servers, so that no two wait for each other. Sums stay at the largest number that there is:
/// one that overflowed would fail for ever.
const ADD: &str = "
    INSERT INTO kepler_model_usage AS u (model, pulls, requests, inferences, errors, last_used)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) ORDER BY 1
    ON CONFLICT (model) DO UPDATE SET
        pulls = least(u.pulls, 9223372036854775807 - excluded.pulls) + excluded.pulls,
        requests = least(u.requests, 9223372036854775807 - excluded.requests) + excluded.requests,
        inferences = least(u.inferences, 9223372036854775807 - excluded.inferences) + excluded.inferences,
        errors = least(u.errors, 9223372036854775807 - excluded.errors) + excluded.errors,
        last_used = greatest(u.last_used, excluded.last_used)";
const READ: &str =
    "SELECT model, pulls, requests, inferences, errors, last_used FROM kepler_model_usage";

impl Postgres {
    /// Reads the URL; the server is asked later.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub(super) fn new(url: &str) -> Result<Self, String> {
        let (url, roots) = without_roots(url);
        client::tls(roots.as_deref())?;
        let mut config: Config = url
            .parse()
            .map_err(|e| format!("the URL of the usage store: {e}"))?;
        if config.get_application_name().is_none() {
            config.application_name("kepler-model-server");
        }
        config.connect_timeout(SILENCE).tcp_user_timeout(SILENCE);
        Ok(Self {
            config,
            roots,
            client: None,
        })
    }

    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, postgres::Error>,
    ) -> Result<T, String> {
        let mut client = match self.client.take().filter(|c| !c.is_closed()) {
            Some(client) => client,
            None => self.connect()?,
        };
        let done = client
            .transaction()
            .and_then(|mut begun| {
                let done = work(&mut begun)?;
                begun.commit()?;
                Ok(done)
            })
            .map_err(|e| explain(&e))?;
        // Kept only where all went well; after an error it is connected to anew.
        self.client = Some(client);
        Ok(done)
    }

    fn connect(&self) -> Result<Client, String> {
        let tls = MakeRustlsConnect::new((*client::tls(self.roots.as_deref())?).clone());
        let mut client = self.config.connect(tls).map_err(|e| explain(&e))?;
        let silence = format!("SET statement_timeout = {}", SILENCE.as_millis());
        client.batch_execute(&silence).map_err(|e| explain(&e))?;
        let mut begun = client.transaction().map_err(|e| explain(&e))?;
        begun.batch_execute(TABLES).map_err(|e| explain(&e))?;
        begun.commit().map_err(|e| explain(&e))?;
        Ok(client)
    }
}

impl Store for Postgres {
    fn add(&mut self, batch: &Batch) -> Result<Held, String> {
        let names: Vec<&str> = batch.growth.keys().map(String::as_str).collect();
        let column = |of: fn(&Figures) -> u64| -> Vec<i64> {
            batch.growth.values().map(|f| count(of(f))).collect()
        };
        let (pulls, requests) = (column(|f| f.pulls), column(|f| f.requests));
        let (inferences, errors) = (column(|f| f.inferences), column(|f| f.errors));
        let last_used = column(|f| f.last_used.map_or(0, seconds));
        self.with(|begun| {
            let claimed = begun.execute(CLAIM, &[&batch.writer, &count(batch.number)])?;
            if claimed == 1 {
                begun.execute(
                    ADD,
                    &[&names, &pulls, &requests, &inferences, &errors, &last_used],
                )?;
            }
            Ok(Held::All(read(begun)?))
        })
    }

    fn read(&mut self) -> Result<Totals, String> {
        self.with(read)
    }

    fn reset(&mut self) -> Result<(), String> {
        self.with(|begun| {
            begun
                .execute("DELETE FROM kepler_model_usage", &[])
                .map(|_| ())
        })
    }

    fn every(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn is_shared(&self) -> bool {
        true
    }
}

fn read(begun: &mut Transaction<'_>) -> Result<Totals, postgres::Error> {
    let number = |row: &Row, index| -> Result<u64, postgres::Error> {
        Ok(u64::try_from(row.try_get::<_, i64>(index)?).unwrap_or(0))
    };
    let mut totals = Totals::new();
    for row in begun.query(READ, &[])? {
        let figures = Figures {
            pulls: number(&row, 1)?,
            requests: number(&row, 2)?,
            inferences: number(&row, 3)?,
            errors: number(&row, 4)?,
            last_used: time(number(&row, 5)?),
        };
        totals.insert(row.try_get(0)?, figures);
    }
    Ok(totals)
}

/// A count as the database keeps it.
fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Takes `sslrootcert` out of a URL, which the driver does not know, and what asks for the server to be verified: that is done in any
/// case.
fn without_roots(url: &str) -> (String, Option<PathBuf>) {
    // A password may have a question mark.
    let from = url.find('@').unwrap_or(0);
    let Some(at) = url[from..].find('?').map(|at| from + at) else {
        return (url.to_owned(), None);
    };
    let mut roots = None;
    let items = url[at + 1..].split('&').filter_map(|item| {
        let (name, value) = item.split_once('=').unwrap_or((item, ""));
        match (name, value) {
            ("sslrootcert", "system") => None,
            ("sslrootcert", path) => {
                let path = percent_decode_str(path).collect::<Vec<u8>>();
                roots = Some(PathBuf::from(OsString::from_vec(path)));
                None
            }
            ("sslmode", "verify-ca" | "verify-full") => Some("sslmode=require"),
            _ => Some(item),
        }
    });
    let items: Vec<&str> = items.collect();
    (format!("{}?{}", &url[..at], items.join("&")), roots)
}

/// The driver's message names the step, its source the reason.
fn explain(error: &postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authorities_are_taken_out_of_a_url() {
        let path = |path: &str| Some(PathBuf::from(path));
        for (url, without, roots) in [
            ("postgres://h/d", "postgres://h/d", None),
            (
                "postgres://u:p?w@h/d?sslmode=prefer",
                "postgres://u:p?w@h/d?sslmode=prefer",
                None,
            ),
            (
                "postgres://h/d?sslrootcert=/a%20b.pem",
                "postgres://h/d?",
                path("/a b.pem"),
            ),
            (
                "postgres://u@h/d?sslmode=verify-full&sslrootcert=/c.pem&user=x",
                "postgres://u@h/d?sslmode=require&user=x",
                path("/c.pem"),
            ),
            (
                "postgres://h/d?sslrootcert=system&a=b",
                "postgres://h/d?a=b",
                None,
            ),
        ] {
            assert_eq!(without_roots(url), (without.to_owned(), roots), "{url}");
        }
    }
}

//! One line a message on standard error, as text or JSON.

use std::io::Write;
use std::sync::{PoisonError, RwLock};
use std::time::SystemTime;

use clap::ValueEnum;

static SETTINGS: RwLock<(LogLevel, LogFormat)> = RwLock::new((LogLevel::Info, LogFormat::Text));

/// The flags of the log, to be flattened into a program's own.
#[derive(Clone, Copy, Debug, clap::Args)]
#[non_exhaustive]
pub struct LogArgs {
    /// Least severe message to print
    #[arg(long = "log.level", value_name = "LEVEL", default_value = "info")]
    pub level: LogLevel,
    /// Form of the messages
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "text")]
    pub format: LogFormat,
}

/// How severe a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `level: message`.
    Text,
    /// An object with `time`, `level` and `msg`.
    Json,
}

/// Sets the least level and the form from now on.
pub fn start(level: LogLevel, format: LogFormat) {
    *SETTINGS.write().unwrap_or_else(PoisonError::into_inner) = (level, format);
}

/// What only a developer wants to know.
pub fn debug(message: &str) {
    write(LogLevel::Debug, message);
}

/// What an operator wants to know once.
pub fn info(message: &str) {
    write(LogLevel::Info, message);
}

/// What goes wrong and may pass.
pub fn warn(message: &str) {
    write(LogLevel::Warn, message);
}

/// What ends the program.
pub fn error(message: &str) {
    write(LogLevel::Error, message);
}

fn write(level: LogLevel, message: &str) {
    let (least, format) = *SETTINGS.read().unwrap_or_else(PoisonError::into_inner);
    if level >= least {
        // Where nobody can be told, the work goes on.
        let _ = writeln!(
            std::io::stderr(),
            "{}",
            line(level, format, seconds(), message)
        );
    }
}

fn seconds() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

fn line(level: LogLevel, format: LogFormat, time: f64, message: &str) -> String {
    let level = match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    match format {
        LogFormat::Text => format!(
            "{level}: {}",
            message
                .escape_debug()
                .to_string()
                .replace("\\\"", "\"")
                .replace("\\'", "'")
        ),
        LogFormat::Json => format!(
            r#"{{"time":{time:.3},"level":"{level}","msg":{}}}"#,
            quoted(message)
        ),
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out += &format!("\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_it_holds() {
        let text = line(LogLevel::Warn, LogFormat::Text, 1.0, "a \"b\"\nc");
        assert_eq!(text, "warn: a \"b\"\\nc");
        let json = line(LogLevel::Info, LogFormat::Json, 1.5, "a \"b\"\nc\\");
        assert_eq!(
            json,
            r#"{"time":1.500,"level":"info","msg":"a \"b\"\u000ac\\"}"#
        );
    }
}

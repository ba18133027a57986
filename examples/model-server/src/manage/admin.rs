//! The administrator's token, as a server and those who ask it are told it.

use std::path::PathBuf;

use kepler_service::AdminToken;

use super::client::text_file;

/// The token for what only an administrator may have done: pulls, resets and imports.
#[derive(clap::Args, Clone)]
pub(crate) struct Admin {
    /// The token for what only an administrator may have done; a server without one lets nobody
    #[arg(
        long = "admin-token",
        value_name = "TOKEN",
        env = "ADMIN_TOKEN",
        hide_env_values = true
    )]
    text: Option<String>,
    /// A file with that token, which goes over --admin-token
    #[arg(
        long = "admin-token-file",
        value_name = "FILE",
        env = "ADMIN_TOKEN_FILE"
    )]
    file: Option<PathBuf>,
}

impl Admin {
    /// What requests are compared with.
    ///
    /// # Errors
    /// Why the file cannot be read, or that it is empty.
    pub(crate) fn token(&self) -> Result<Option<AdminToken>, String> {
        Ok(self.text()?.and_then(|t| AdminToken::new(t.as_bytes())))
    }

    /// What a request brings.
    ///
    /// # Errors
    /// As [`Admin::token`].
    pub(super) fn text(&self) -> Result<Option<String>, String> {
        let Some(path) = &self.file else {
            let text = self.text.as_deref().map(str::trim);
            return Ok(text.filter(|t| !t.is_empty()).map(str::to_owned));
        };
        match text_file(path)?.trim() {
            "" => Err(format!(
                "{}: expected a token, found nothing",
                path.display()
            )),
            text => Ok(Some(text.to_owned())),
        }
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admin")
    }
}

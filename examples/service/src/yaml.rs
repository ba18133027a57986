//! YAML files of settings and credentials.

use serde::de::DeserializeOwned;

/// A file's text, understood.
///
/// ```
/// let numbers: Vec<u8> = kepler_service::yaml("[1, 2]").unwrap();
/// assert_eq!(numbers, [1, 2]);
/// ```
/// # Errors
/// What is wrong and in which line, in one line. It shows no value of the file, which may be a secret: names of keys at most, and
/// words that are none of those known.
pub fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        // Advice to whoever calls the reader helps nobody who writes a file.
        let text = error.to_string();
        let text = text.replace(", set DuplicateKeyPolicy in Options if acceptable", "");
        let text = text.replace(
            "; use from_str_multiple or from_str_multiple_with_options",
            "",
        );
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "what it holds is not looked at")]
    struct Account {
        name: String,
        password: String,
        #[serde(default)]
        insecure: bool,
        #[serde(default)]
        port: u16,
    }

    #[test]
    fn an_error_is_one_line_without_the_secret_beside_it() {
        for wrong in [
            "password: hunter2\nport: x\n",
            "password: hunter2\ninsecur: true\n",
            "password: hunter2\npassword: b\n",
            "password: hunter2\n port: 1\n",
            "password: hunter2\n\tport: 1\n",
            "password: hunter2: x\n",
            "password: 'hunter2\n",
            "password: \"hunter2\\q\"\n",
            "password: *hunter2\n",
            "password: @hunter2\n",
            "password: [hunter2]\n",
            "password:hunter2\n",
            "insecure: hunter2\n",
            "port: hunter2\n",
            "- hunter2\n",
        ] {
            let error = yaml::<Account>(&format!("name: a\n{wrong}")).unwrap_err();
            assert!(
                error.contains("line ") && !error.contains('\n') && !error.contains("hunter2"),
                "{wrong}: {error}"
            );
        }
        let twice = yaml::<Account>("name: a\nname: b\n").unwrap_err();
        assert_eq!(twice, "duplicate mapping key: name at line 2, column 1");
        assert!(!yaml::<Account>("hunter2").unwrap_err().contains("hunter2"));
        let several = yaml::<serde_json::Value>("a: 1\n---\na: 2\n").unwrap_err();
        let said = several.strip_prefix("multiple YAML documents detected at line ");
        assert!(
            said.is_some_and(|place| !place.contains("from_str")),
            "{several}"
        );
    }
}

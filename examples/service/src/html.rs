//! Pages for people.

/// Text for a page: nothing of it is markup, whoever wrote it.
///
/// ```
/// assert_eq!(kepler_service::escaped("<b>&amp;"), "&lt;b&gt;&amp;amp;");
/// ```
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

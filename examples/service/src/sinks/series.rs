//! A page of metrics in Prometheus text, as the series that other protocols speak of.

/// Families in the order of the page.
#[derive(Debug, PartialEq)]
pub(super) struct Family<'a> {
    pub(super) name: &'a str,
    pub(super) help: &'a str,
    pub(super) counter: bool,
    pub(super) series: Vec<Series<'a>>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Series<'a> {
    /// Labels with a value, in the order of the page.
    pub(super) labels: Vec<(&'a str, String)>,
    pub(super) value: f64,
}

/// Reads a page that this house wrote: `# HELP`, `# TYPE` and the series of each family behind one another, without
/// timestamps. A line that is none of these is left out.
pub(super) fn families(page: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            families.push(Family {
                name,
                help,
                counter: false,
                series: Vec::new(),
            });
            continue;
        }
        let Some(family) = families.last_mut() else {
            continue;
        };
        if let Some(kind) = line
            .strip_prefix("# TYPE ")
            .and_then(|l| l.strip_prefix(family.name))
        {
            family.counter = kind.trim() == "counter";
        } else if let Some(rest) = line.strip_prefix(family.name) {
            family.series.extend(series(rest));
        }
    }
    families.retain(|family| !family.series.is_empty());
    families
}

/// `{name="value",...} figure`, or ` figure`.
fn series(text: &str) -> Option<Series<'_>> {
    let mut labels = Vec::new();
    let mut rest = text;
    if let Some(inner) = text.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (name, behind) = rest.split_once("=\"")?;
            let (value, behind) = value(behind)?;
            if !value.is_empty() {
                labels.push((name, value));
            }
            rest = behind.strip_prefix(',').unwrap_or(behind);
        }
        rest = &rest[1..];
    }
    let value = rest.trim().parse().ok()?;
    Some(Series { labels, value })
}

/// The text up to the closing quote, its escapes undone, and what follows.
fn value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_as_it_was_written() {
        let page = "# HELP a_total What a is.\n# TYPE a_total counter\n\
            a_total{x=\"q\\\"\\\\\\n}\",empty=\"\",y=\"1\"} 1.5\na_total{} 2\n\
            # HELP b None.\n# TYPE b gauge\nb 3e-7\nnonsense\nb{x= 1\n# HELP c Nothing.\n# TYPE c gauge\n";
        let families = families(page);
        assert_eq!(families.len(), 2);
        assert!(families[0].counter && !families[1].counter);
        assert_eq!(families[0].help, "What a is.");
        let labels = &families[0].series[0].labels;
        assert_eq!(
            labels[..],
            [("x", "q\"\\\n}".to_owned()), ("y", "1".to_owned())]
        );
        let values: Vec<f64> = families
            .iter()
            .flat_map(|f| f.series.iter().map(|s| s.value))
            .collect();
        assert_eq!(values, [1.5, 2.0, 3e-7]);
    }
}

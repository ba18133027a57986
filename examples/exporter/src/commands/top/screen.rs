//! How it looks: a head with the machine, a table, a foot with the keys.

use std::fmt::Write;

use kepler_core::monitor::PodNames;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Paragraph, Row, Table, TableState};

use super::app::{App, KINDS, Line, Sort};

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App) {
    let heading = heading(app);
    let height = u16::try_from(heading.len()).unwrap_or(u16::MAX);
    let parts = Layout::vertical([
        Constraint::Length(height),
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(1),
    ]);
    let [head, tabs, table, foot] = parts.areas(frame.area());
    frame.render_widget(Paragraph::new(heading), head);
    frame.render_widget(Paragraph::new(levels(app)), tabs);
    draw_table(frame, app, table);
    frame.render_widget(Paragraph::new(keys(app)), foot);
}

fn heading(app: &App) -> Vec<Text<'static>> {
    let node = &app.snapshot.node;
    let busy = node
        .busy_ratio
        .map_or_else(|| "?".to_owned(), |busy| format!("{:.0} %", busy * 100.0));
    let pause = if app.paused { "  paused" } else { "" };
    let mut lines = vec![Text::from(vec![
        "kepler ".bold().green(),
        Span::raw(format!(
            "{} CPUs {busy} busy, {} processes, {} containers, {} pods, {} VMs, by {}, every {:?}",
            node.usage.cpus,
            app.snapshot.processes.len(),
            app.snapshot.containers.len(),
            app.snapshot.pods.len(),
            app.snapshot.vms.len(),
            app.snapshot.sources.usage,
            app.delay,
        )),
        pause.yellow(),
    ])];
    for domain in &node.domains {
        let name = format!("{:>9} ", domain.domain.as_str());
        let mut parts = vec![Span::styled(name, Style::new().bold())];
        if let Some(power) = domain.power {
            parts.push(Span::styled(
                format!("{:>9.2} W ", power.total.0),
                Style::new().fg(Color::Cyan),
            ));
            parts.push(Span::raw(bar(power.active.0, power.total.0)));
            parts.push(Span::raw(format!(
                " {:.2} W by work, {:.2} W idle",
                power.active.0, power.idle.0
            )));
        } else {
            parts.push(Span::raw("        ? W"));
        }
        parts.push(Span::raw(format!(", {}", domain.provenance.by())).dark_gray());
        lines.push(Text::from(parts));
    }
    let troubles = app.snapshot.sources.notes.iter();
    let troubles = troubles.filter(|note| note.part == PodNames::PART && !note.active);
    lines.extend(troubles.map(|note| Text::from(note.to_string()).yellow()));
    lines
}

/// A share as twenty places.
fn bar(part: f64, whole: f64) -> String {
    let share = if whole > 0.0 {
        (part / whole).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let full = (0..20)
        .filter(|place| f64::from(*place) + 0.5 < share * 20.0)
        .count();
    format!("[{}{}]", "|".repeat(full), " ".repeat(20 - full))
}

fn levels(app: &App) -> Text<'static> {
    let mut parts = Vec::new();
    for (kind, name) in KINDS {
        let style = if kind == app.kind {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        parts.push(Span::styled(format!(" {name} "), style));
        parts.push(Span::raw(" "));
    }
    if app.typing || !app.filter.is_empty() {
        let cursor = if app.typing { "_" } else { "" };
        parts.push(format!("filter: {}{cursor}", app.filter).yellow());
    }
    Text::from(parts)
}

fn keys(app: &App) -> Text<'static> {
    let text = if app.typing {
        "type a part of a name, Enter keeps it, Esc drops it"
    } else {
        "q quit  Tab level  p power  e energy  c CPU  n name  / filter  space pause  +/- faster, slower"
    };
    Text::from(text).dark_gray()
}

fn draw_table(frame: &mut Frame<'_>, app: &mut App, area: Rect) {
    let lines = app.lines();
    app.selected = app.selected.min(lines.len().saturating_sub(1));
    let rows = lines.iter().map(|line| {
        let row = Row::new(cells(line));
        if line.ended { row.dark_gray() } else { row }
    });
    let mut widths = vec![Constraint::Length(12)];
    widths.extend(vec![
        Constraint::Length(10);
        app.snapshot.node.domains.len() + 1
    ]);
    widths.extend([
        Constraint::Length(6),
        Constraint::Length(9),
        Constraint::Min(16),
        Constraint::Fill(1),
    ]);
    let table = Table::new(rows, widths)
        .header(Row::new(titles(app)).style(Style::new().fg(Color::Black).bg(Color::Green)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::default().with_selected(Some(app.selected));
    frame.render_stateful_widget(table, area, &mut state);
}

fn titles(app: &App) -> Vec<String> {
    let mark = |sort: Sort, title: &str| {
        let mark = if app.sort == sort { "v" } else { "" };
        format!("{title}{mark}")
    };
    let domains = app.snapshot.node.domains.iter().enumerate();
    let mut titles = vec!["ID".to_owned()];
    titles.extend(domains.map(|(place, d)| {
        let title = format!("{} W", d.domain);
        let title = if place == 0 {
            mark(Sort::Power, &title)
        } else {
            title
        };
        format!("{title:>9}")
    }));
    titles.push(format!("{:>9}", mark(Sort::Energy, "J")));
    titles.push(format!("{:>5}", mark(Sort::Cpu, "CPU%")));
    titles.push(format!("{:>8}", "CPU s"));
    titles.push(mark(Sort::Name, "NAME"));
    titles.push("WITHIN".to_owned());
    titles
}

fn cells(line: &Line) -> Vec<String> {
    let figure =
        |value: Option<f64>| value.map_or_else(|| format!("{:>9}", "?"), |v| format!("{v:>9.3}"));
    let mut cells = vec![short(&line.id, 12)];
    cells.extend(line.watts.iter().map(|w| figure(*w)));
    cells.push(figure(line.joules));
    cells.push(line.cpu.map_or_else(
        || format!("{:>5}", "-"),
        |cpu| format!("{:>5.1}", cpu * 100.0),
    ));
    cells.push(format!("{:>8.2}", line.seconds));
    cells.push(line.name.clone());
    cells.push(short(&line.within, 40));
    cells
}

/// The first characters of a text.
fn short(text: &str, length: usize) -> String {
    text.chars().take(length).collect()
}

/// The machine and the first rows of each level as text.
pub(super) fn plain(app: &App, rows: usize) -> String {
    let mut text = String::new();
    for line in heading(app) {
        let _ = writeln!(text, "{}", line.to_string().trim_end());
    }
    let table: Vec<Vec<String>> = std::iter::once(titles(app))
        .chain(app.lines().iter().take(rows).map(cells))
        .collect();
    for row in table {
        let mut line = String::new();
        for (place, cell) in row.iter().enumerate() {
            let width = if place == 0 { 12 } else { 9 };
            let _ = write!(line, "{cell:<width$} ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push('\n');
    text
}

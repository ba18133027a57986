//! How far off trained models are, on rows that they had not seen: what `make eval` prints.
//!
//! Reads the public training tables under a folder (first argument, `../shared` if none): `data/` for the rows, `reference/`
//! for what the older software reached with its ten trainers. Further arguments choose tables by how their names begin.

#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use kepler_core::model::train::{TrainOptions, Trainer, TrainingData, Watch, cross_validate};
use kepler_core::model::{FeatureGroup, Split};
use kepler_core::{Error, Host, Result};

/// A table of rows, how they can be held out, and the trainers to judge.
struct Table {
    name: String,
    /// Energy source or machine, and feature group: where the reference keeps its figures.
    key: (String, &'static str),
    data: TrainingData,
    splits: Vec<Split>,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "../shared".to_owned()));
    let wanted: Vec<String> = arguments.collect();
    let mut tables = tables(&folder.join("data"))?;
    tables.retain(|t| wanted.is_empty() || wanted.iter().any(|w| t.name.starts_with(w)));
    let reference = Reference::read(&folder.join("reference"));

    println!(
        "Mean absolute error in W of the main part (package, platform) on rows not seen in training, ten folds."
    );
    println!("Intervals: share of true values inside (90 % is aimed at) and mean width in W.\n");
    println!(
        "{:<28} {:>5}  {:<22} {:>8} {:>8} {:>8}",
        "EnsembleTrainer", "rows", "held out", "MAE", "inside", "width"
    );
    let jobs: Vec<(&Table, Split)> = tables
        .iter()
        .flat_map(|t| t.splits.iter().map(move |s| (t, *s)))
        .collect();
    each(&jobs, |(table, split)| ensemble(table, *split))?;

    println!(
        "\nThe ten families with random folds, beside the older software's mean and spread over random parts.\n"
    );
    let jobs: Vec<(&Table, Trainer)> = tables
        .iter()
        .filter(|t| t.splits.contains(&Split::ShuffledFolds))
        .flat_map(|t| Trainer::ALL.iter().map(move |trainer| (t, *trainer)))
        .filter(|(_, trainer)| *trainer != Trainer::Ensemble)
        .collect();
    each(&jobs, |(table, trainer)| {
        family(table, *trainer, &reference)
    })
}

/// Does the jobs on two threads and prints their lines in order.
fn each<T: Sync>(jobs: &[T], work: impl Fn(&T) -> Result<String> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        while let Some((number, job)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, jobs.get(n)?)))
        {
            let line = work(job)?;
            eprint!(".");
            done.push((number, line));
        }
        Ok::<_, Error>(done)
    };
    let both = std::thread::scope(|scope| {
        let other = scope.spawn(run);
        let mut lines = run()?;
        lines.extend(other.join().expect("a worker does not panic")?);
        Ok::<_, Error>(lines)
    });
    let mut lines = both?;
    eprintln!();
    lines.sort();
    lines.iter().for_each(|(_, line)| println!("{line}"));
    Ok(())
}

fn ensemble(table: &Table, split: Split) -> Result<String> {
    let (data, options) = (&table.data, TrainOptions::default());
    let validation = cross_validate(Trainer::Ensemble, data, split, &options, &mut Watch::none())?;
    let component = data.main_component().expect("a table has targets");
    let mae = validation
        .error(component, data)
        .map_or(f64::NAN, |e| e.mae);
    let residuals = validation.residuals(component, data);
    let coverage = residuals
        .as_ref()
        .and_then(|r| r.coverage)
        .unwrap_or(f64::NAN);
    let width = residuals.and_then(|r| r.mean_width).unwrap_or(f64::NAN);
    let (name, rows, split) = (&table.name, data.len(), split.to_string());
    Ok(format!(
        "{name:<28} {rows:>5}  {split:<22} {mae:>8.2} {:>6.1} % {width:>8.1}",
        100.0 * coverage
    ))
}

fn family(table: &Table, trainer: Trainer, reference: &Reference) -> Result<String> {
    let options = TrainOptions::default();
    let validation = cross_validate(
        trainer,
        &table.data,
        Split::ShuffledFolds,
        &options,
        &mut Watch::none(),
    );
    let component = table.data.main_component().expect("a table has targets");
    let ours = match validation {
        Ok(validation) => validation
            .error(component, &table.data)
            .map_or(f64::NAN, |e| e.mae),
        Err(error) => return Ok(format!("{:<28} {trainer:<32} {error}", table.name)),
    };
    let theirs = reference
        .find(&table.key, trainer)
        .map_or_else(String::new, |(mean, spread)| {
            format!(
                "{mean:>8.2} ± {spread:<6.2} {:>+6.1} spreads",
                (ours - mean) / spread.max(1e-9)
            )
        });
    Ok(format!(
        "{:<28} {trainer:<32} {ours:>8.2}   {theirs}",
        table.name
    ))
}

/// The tables with their main part alone.
fn tables(data: &Path) -> Result<Vec<Table>> {
    const NX12: &str = "kepler-model-db/v0.6/nx12/preprocessed_data";
    let mut tables = Vec::new();
    for (source, group) in [
        ("rapl", "Basic"),
        ("rapl", "CounterOnly"),
        ("rapl", "BPFOnly"),
        ("acpi", "CounterOnly"),
    ] {
        let file = format!("{NX12}/preprocess_abs_default_{source}_{group}.csv");
        tables.push(Table {
            name: format!("nx12 {source} {group}"),
            key: (source.to_owned(), group),
            data: main_part(TrainingData::read_csv(data.join(file))?),
            splits: vec![Split::ShuffledFolds, Split::BlockedFolds],
        });
    }
    for group in [FeatureGroup::Basic, FeatureGroup::BpfOnly] {
        let mut machines = Vec::new();
        for machine in 0..6 {
            let rows =
                TrainingData::read_csv(data.join(format!("training/ec2_node{machine}_abs.csv")))?;
            let rows = main_part(rows.with_group(group)?);
            machines.push((machine, rows.clone()));
            tables.push(Table {
                name: format!("ec2 {group} type {machine}"),
                key: (machine.to_string(), group.as_str()),
                data: rows,
                splits: vec![Split::ShuffledFolds],
            });
        }
        tables.push(Table {
            name: format!("ec2 {group} six types"),
            key: Default::default(),
            data: TrainingData::of_machines(&machines)?,
            splits: vec![Split::MachineOut],
        });
    }
    let specpower = TrainingData::read_csv(data.join("training/specpower_abs.csv"))?;
    tables.push(Table {
        name: "specpower BPFOnly".to_owned(),
        key: Default::default(),
        data: specpower.with_features(&["bpf_cpu_time_ms"])?,
        splits: vec![Split::MachineOut],
    });
    Ok(tables)
}

fn main_part(mut data: TrainingData) -> TrainingData {
    let main = data.main_component();
    data.targets.retain(|component, _| Some(*component) == main);
    data
}

/// What the older software's trainers reached: lines of `ec2_train_reference.csv` and `nx12_train_reference.csv`.
struct Reference(Vec<Vec<String>>);

impl Reference {
    fn read(folder: &Path) -> Self {
        let lines = |file: &str| {
            let text = Host::default().text(folder.join(file)).unwrap_or_default();
            let cells = |line: &str| line.split(',').map(str::to_owned).collect();
            text.lines()
                .skip(1)
                .map(cells)
                .collect::<Vec<Vec<String>>>()
        };
        // ot,fg,nt,trainer,mean,sd against es,ot,fg,trainer,mean,sd: brought into one order.
        let mut all = lines("nx12_train_reference.csv");
        all.extend(
            lines("ec2_train_reference.csv")
                .into_iter()
                .filter(|c| c.len() > 5)
                .map(|mut c| {
                    c[..3].rotate_right(1);
                    c
                }),
        );
        Self(all)
    }

    fn find(&self, (of, group): &(String, &str), trainer: Trainer) -> Option<(f64, f64)> {
        let wanted = [of, "AbsPower", group, trainer.as_str()];
        let line = self
            .0
            .iter()
            .find(|cells| cells.iter().zip(wanted).all(|(a, b)| a == b))?;
        Some((line.get(4)?.parse().ok()?, line.get(5)?.parse().ok()?))
    }
}

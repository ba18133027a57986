//! Power models: rows of features in, watts out.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use kepler_core::model as core;
use napi::bindgen_prelude::{AsyncTask, Either, Float64Array, Uint8Array, Undefined};
use napi_derive::napi;
use ndarray::{Array2, ArrayView2, ShapeBuilder};

use crate::errors::{Result, Work, promise, to_js};
use crate::options::invalid;
use crate::text::LongText;

/// Watts by component, one value a row.
#[napi(object, object_from_js = false)]
pub struct Predictions {
    /// Watts by component; never negative.
    #[napi(ts_type = "Record<string, Float64Array>")]
    pub watts: BTreeMap<&'static str, Float64Array>,
    /// For each row, 1 where all its features lie in the range of the training data, else 0.
    pub in_range: Uint8Array,
}

/// Predicted watts of one component, and the range that holds the true ones with a stated chance; a value a row.
#[napi(object, object_from_js = false)]
pub struct Interval {
    /// The prediction.
    pub watts: Float64Array,
    /// The lower end; absent where nothing is known of the model's error.
    pub low: Option<Float64Array>,
    /// The upper end.
    pub high: Option<Float64Array>,
    /// The chance, such as 0.9.
    pub level: Option<f64>,
}

/// Rows one after another in the order of the model's features, or one array a feature by its name.
type Rows = Either<Float64Array, HashMap<String, Either<Float64Array, Vec<f64>>>>;

/// A power model, ready to predict.
#[napi]
pub struct PowerModel(pub(crate) core::PowerModel);

#[napi]
impl PowerModel {
    /// Reads a model: a file of the own format, or a file, folder or zip of the public model database.
    #[napi(ts_return_type = "Promise<PowerModel>")]
    pub fn load(path: String) -> AsyncTask<Work<PowerModel>> {
        promise(move || core::PowerModel::load(Path::new(&path)).map(PowerModel))
    }

    /// As `load`, while the event loop waits.
    #[napi]
    pub fn load_sync(path: String) -> Result<Self> {
        core::PowerModel::load(Path::new(&path))
            .map(Self)
            .map_err(to_js)
    }

    /// Reads a model of the own format (`kepler-model/1`) from memory.
    #[napi(
        ts_args_type = "text: string | Uint8Array",
        ts_return_type = "Promise<PowerModel>"
    )]
    pub fn from_json(text: Uint8Array) -> AsyncTask<Work<PowerModel>> {
        promise(move || {
            // A copy, which nobody writes to while it is read.
            let text = text.to_vec();
            core::PowerModel::from_json(&text).map(PowerModel)
        })
    }

    /// As `fromJson`, while the event loop waits.
    #[napi(ts_args_type = "text: string | Uint8Array")]
    pub fn from_json_sync(text: Uint8Array) -> Result<Self> {
        core::PowerModel::from_json(&text).map(Self).map_err(to_js)
    }

    /// The model in the own format; reading it gives the same model, to the last bit.
    #[napi(ts_return_type = "Promise<string>")]
    pub fn to_json(&self) -> AsyncTask<LongText> {
        let model = self.0.clone();
        AsyncTask::new(LongText::new(move || model.file().to_json()))
    }

    /// As `toJson`, while the event loop waits.
    #[napi]
    pub fn to_json_sync(&self) -> Result<String> {
        self.0.file().to_json().map_err(to_js)
    }

    /// The model's name.
    #[napi(getter)]
    pub fn name(&self) -> String {
        self.0.name().to_owned()
    }

    /// The features' names, in column order.
    #[napi(getter)]
    pub fn features(&self) -> Vec<String> {
        self.0.features().map(str::to_owned).collect()
    }

    /// The parts of the machine whose power is predicted: package, core, uncore, dram, platform.
    #[napi(getter)]
    pub fn components(&self) -> Vec<&'static str> {
        self.0.components().map(core::Component::as_str).collect()
    }

    /// `AbsPower` for the power of a whole node, `DynPower` for power above idle.
    #[napi(getter, ts_return_type = "'AbsPower' | 'DynPower'")]
    pub fn output_type(&self) -> &'static str {
        self.0.file().output_type.as_str()
    }

    /// The meter whose power the model was trained on; absent where it is unknown.
    #[napi(getter)]
    pub fn energy_source(&self) -> Either<&'static str, Undefined> {
        self.0
            .file()
            .energy_source
            .map(core::EnergySourceName::as_str)
            .into()
    }

    /// Predicts watts from rows one after another in the order of `features`, or from one array a feature by name.
    #[napi(ts_args_type = "rows: Rows", ts_return_type = "Promise<Predictions>")]
    pub fn predict(&self, rows: Rows) -> AsyncTask<Work<Predictions>> {
        let model = self.0.clone();
        promise(move || predict(&model, &rows).map(Predictions::from))
    }

    /// As `predict`, while the event loop waits.
    #[napi(ts_args_type = "rows: Rows")]
    pub fn predict_sync(&self, rows: Rows) -> Result<Predictions> {
        predict(&self.0, &rows)
            .map(Predictions::from)
            .map_err(to_js)
    }

    /// Predicts watts with the range that holds the true ones with a stated chance, by component.
    #[napi(
        ts_args_type = "rows: Rows",
        ts_return_type = "Promise<Record<string, Interval>>"
    )]
    pub fn predict_with_interval(
        &self,
        rows: Rows,
    ) -> AsyncTask<Work<BTreeMap<&'static str, Interval>>> {
        let model = self.0.clone();
        promise(move || intervals(&model, &rows))
    }

    /// The model card.
    #[napi(js_name = "toString")]
    pub fn card(&self) -> String {
        self.0.to_string()
    }
}

fn predict(model: &core::PowerModel, rows: &Rows) -> kepler_core::Result<core::Predictions> {
    match rows {
        Either::A(values) => {
            let width = model.features().count().max(1);
            if values.len() % width != 0 {
                let why = format!(
                    "{} values are no whole rows of {width} features",
                    values.len()
                );
                return Err(invalid("rows", why));
            }
            let view = ArrayView2::from_shape((values.len() / width, width), values);
            model.predict(view.map_err(|error| invalid("rows", error))?)
        }
        Either::B(columns) => {
            let (names, columns): (Vec<&String>, Vec<&[f64]>) = columns
                .iter()
                .map(|(name, column)| match column {
                    Either::A(values) => (name, &**values),
                    Either::B(values) => (name, values.as_slice()),
                })
                .unzip();
            let rows = columns.first().map_or(0, |column| column.len());
            if columns.iter().any(|column| column.len() != rows) {
                return Err(invalid("rows", "the arrays are of different lengths"));
            }
            let matrix = Array2::from_shape_vec((rows, columns.len()).f(), columns.concat());
            let matrix = matrix.map_err(|error| invalid("rows", error))?;
            model.bind(&names)?.predict(matrix.view())
        }
    }
}

fn intervals(
    model: &core::PowerModel,
    rows: &Rows,
) -> kepler_core::Result<BTreeMap<&'static str, Interval>> {
    let with_ends = |(component, watts): (core::Component, Vec<f64>)| {
        let part = model.file().components.get(&component);
        let ends = part.and_then(|part| {
            watts
                .iter()
                .map(|w| part.interval(*w))
                .collect::<Option<Vec<_>>>()
        });
        let ends = ends.filter(|ends| !ends.is_empty());
        let interval = Interval {
            low: ends
                .as_ref()
                .map(|ends| ends.iter().map(|i| i.low).collect::<Vec<_>>().into()),
            high: ends
                .as_ref()
                .map(|ends| ends.iter().map(|i| i.high).collect::<Vec<_>>().into()),
            level: ends.and_then(|ends| Some(ends.first()?.level)),
            watts: watts.into(),
        };
        (component.as_str(), interval)
    };
    Ok(predict(model, rows)?
        .watts
        .into_iter()
        .map(with_ends)
        .collect())
}

impl From<core::Predictions> for Predictions {
    fn from(from: core::Predictions) -> Self {
        Self {
            watts: from
                .watts
                .into_iter()
                .map(|(component, watts)| (component.as_str(), watts.into()))
                .collect(),
            in_range: from
                .in_range
                .into_iter()
                .map(u8::from)
                .collect::<Vec<_>>()
                .into(),
        }
    }
}

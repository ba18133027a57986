//! Power models: rows of features in, watts out.

use std::path::PathBuf;

use kepler_core::model as core;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray2};
use pyo3::prelude::*;

use crate::errors::{run, to_py};

/// What a prediction is made of, as NumPy arrays of one value a row.
type Columns<'py> = Vec<(&'static str, Bound<'py, PyArray1<f64>>)>;

/// Lower ends, upper ends and level.
type Bounds<'py> = (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>, f64);

/// A checked power model. The public class around it is `kepler.PowerModel`.
#[pyclass(frozen, module = "kepler")]
pub(crate) struct RawModel(pub(crate) core::PowerModel);

#[pymethods]
impl RawModel {
    /// Reads a model from a file or folder, of the own format or of the public database.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        run(py, || core::PowerModel::load(path)).map(Self)
    }

    /// Reads a `kepler-model/1` file from memory.
    #[staticmethod]
    fn from_json(py: Python<'_>, text: &[u8]) -> PyResult<Self> {
        run(py, || core::PowerModel::from_json(text)).map(Self)
    }

    /// The model as a `kepler-model/1` file.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        run(py, || self.0.file().to_json())
    }

    /// The model's name.
    #[getter]
    fn name(&self) -> String {
        self.0.name().to_owned()
    }

    /// The features' names, in column order.
    #[getter]
    fn features(&self) -> Vec<String> {
        self.0.features().map(str::to_owned).collect()
    }

    /// The parts of the machine whose power is predicted.
    #[getter]
    fn components(&self) -> Vec<&'static str> {
        self.0.components().map(core::Component::as_str).collect()
    }

    /// `AbsPower` for a whole node, `DynPower` for power above idle.
    #[getter]
    fn output_type(&self) -> &'static str {
        self.0.file().output_type.as_str()
    }

    /// The meter whose power it was trained on.
    #[getter]
    fn energy_source(&self) -> Option<&'static str> {
        self.0
            .file()
            .energy_source
            .map(core::EnergySourceName::as_str)
    }

    /// Watts by component and, for each row, whether all features lie in the range of the training data.
    ///
    /// With names, columns are bound by them; `strict` refuses names that the model does not know.
    #[pyo3(signature = (rows: "Any", names=None, strict=true) -> "tuple[list[tuple[str, Any]], Any]")]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        rows: PyReadonlyArray2<'py, f64>,
        names: Option<Vec<String>>,
        strict: bool,
    ) -> PyResult<(Columns<'py>, Bound<'py, PyArray1<bool>>)> {
        let rows = rows.as_array();
        let predictions = run(py, || match names {
            None => self.0.predict(rows),
            Some(names) if strict => self.0.bind(&names)?.predict(rows),
            Some(names) => self.0.bind_among(&names)?.predict(rows),
        })?;
        let watts = predictions.watts.into_iter();
        let watts = watts.map(|(component, watts)| (component.as_str(), watts.into_pyarray(py)));
        Ok((watts.collect(), predictions.in_range.into_pyarray(py)))
    }

    /// The lower end, the upper end and the level of the interval around predictions of one component; None where nothing
    /// is known of the model's error.
    #[pyo3(signature = (component, watts: "Any") -> "tuple[Any, Any, float] | None")]
    fn interval<'py>(
        &self,
        py: Python<'py>,
        component: &str,
        watts: Vec<f64>,
    ) -> PyResult<Option<Bounds<'py>>> {
        let component: core::Component = component.parse().map_err(to_py)?;
        let Some(part) = self.0.file().components.get(&component) else {
            return Ok(None);
        };
        let intervals: Option<Vec<_>> = watts
            .into_iter()
            .map(|watts| part.interval(watts))
            .collect();
        Ok(intervals.and_then(|intervals| {
            let level = intervals.first()?.level;
            let (low, high): (Vec<f64>, Vec<f64>) =
                intervals.iter().map(|i| (i.low, i.high)).unzip();
            Some((low.into_pyarray(py), high.into_pyarray(py), level))
        }))
    }

    /// The model card.
    fn __str__(&self) -> String {
        self.0.to_string()
    }
}

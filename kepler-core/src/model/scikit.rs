//! Scikit-learn estimators and scalers, from the attributes that their pickles hold.

use super::curve::{Curve, CurveShape};
use super::estimator::Estimator;
use super::knn::NearestNeighbors;
use super::pickle::{Class, Pickle, Value};
use super::svr::SupportVectors;
use super::tree::{Trees, at_most};
use crate::error::{Error, Result};

/// What a scaler knows of one feature.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// Taken away first.
    pub(super) offset: f64,
    /// The divisor.
    pub(super) scale: f64,
    /// The smallest and largest value of the training data, where they are known.
    pub(super) range: Option<(f64, f64)>,
}

impl Scale {
    /// As if there were no scaler.
    pub(super) const NONE: Self = Self {
        offset: 0.0,
        scale: 1.0,
        range: None,
    };
}

/// Reads a scaler: by the largest magnitude (counters and times begin at 0), by the range, or by the spread.
pub(super) fn scaler(bytes: &[u8]) -> Result<Vec<Scale>> {
    let pickle = Pickle::read(bytes)?;
    let object = pickle.root();
    let numbers = |name: &str| Ok(pickle.numbers(pickle.attribute(object, name)?)?.values);
    let scale = numbers("scale_")?;
    let zip = |offsets: Vec<f64>, lows: Vec<f64>, highs: Vec<f64>| {
        let scales = scale.iter().zip(offsets).zip(lows.into_iter().zip(highs));
        scales.map(|((scale, offset), range)| Scale {
            offset,
            scale: *scale,
            range: Some(range),
        })
    };
    let zeros = vec![0.0; scale.len()];
    match pickle.class(object) {
        Some(Class::MaxAbsScaler) => Ok(zip(zeros.clone(), zeros, numbers("max_abs_")?).collect()),
        Some(Class::MinMaxScaler) => {
            // It multiplies by its scale and adds its minimum.
            let offsets = numbers("min_")?
                .iter()
                .zip(&scale)
                .map(|(min, scale)| -min / scale)
                .collect();
            let scales = zip(offsets, numbers("data_min_")?, numbers("data_max_")?);
            Ok(scales
                .map(|s| Scale {
                    scale: 1.0 / s.scale,
                    ..s
                })
                .collect())
        }
        Some(Class::StandardScaler) => Ok(numbers("mean_")?
            .into_iter()
            .zip(&scale)
            .map(|(offset, scale)| Scale {
                offset,
                scale: *scale,
                range: None,
            })
            .collect()),
        other => Err(unsupported(&format!("its scaler is a {other:?}"))),
    }
}

/// Whether the bytes are the step that makes all products of degree 2, with the constant first.
pub(super) fn is_square_step(bytes: &[u8]) -> Result<bool> {
    let pickle = Pickle::read(bytes)?;
    let step = pickle.root();
    if pickle.class(step) != Some(Class::PolynomialFeatures) {
        return Ok(false);
    }
    let is = |name: &str, wanted: bool| {
        let value = pickle.attribute(step, name)?;
        Ok::<_, Error>(matches!(value, Value::Bool(truth) if truth == wanted))
    };
    let degree = pickle.count(pickle.attribute(step, "degree")?)?;
    Ok(degree == 2 && is("interaction_only", false)? && is("include_bias", true)?)
}

/// Reads an estimator; `squared` says that its inputs are the products of degree 2.
pub(super) fn estimator(bytes: &[u8], squared: bool) -> Result<Estimator> {
    let pickle = Pickle::read(bytes)?;
    let object = last_step(&pickle)?;
    let reader = Reader {
        pickle: &pickle,
        object,
    };
    match pickle.class(object) {
        Some(Class::LinearRegression | Class::SgdRegressor) => reader.linear(squared),
        Some(_) if squared => Err(unsupported(
            "only a linear model can take products of features",
        )),
        Some(Class::CurveFit) => reader.curve(),
        Some(Class::Svr) => reader.support_vectors(),
        Some(Class::KNeighborsRegressor) => reader.neighbors(),
        Some(Class::GradientBoosting) => reader.boosting(),
        other => Err(unsupported(&format!("{other:?} is not a model"))),
    }
}

/// The estimator at the end of a pipeline, whose other steps do nothing; what is no pipeline is the estimator itself.
///
/// The older generation wraps its support vector machines so.
fn last_step<'a>(pickle: &Pickle<'a>) -> Result<Value<'a>> {
    let object = pickle.root();
    if pickle.class(object) != Some(Class::Pipeline) {
        return Ok(object);
    }
    let steps = pickle.items(pickle.attribute(object, "steps")?)?;
    let mut last = None;
    for step in steps {
        if !matches!(last, None | Some(Value::None | Value::Text("passthrough"))) {
            return Err(unsupported("a pipeline has a step before its model"));
        }
        last = pickle.items(*step)?.get(1).copied();
    }
    last.ok_or_else(|| unsupported("a pipeline has no step"))
}

/// The attributes of one object.
struct Reader<'p, 'a> {
    pickle: &'p Pickle<'a>,
    object: Value<'a>,
}

impl<'p, 'a> Reader<'p, 'a> {
    fn attribute(&self, name: &str) -> Result<Value<'a>> {
        self.pickle.attribute(self.object, name)
    }

    fn number(&self, name: &str) -> Result<f64> {
        self.pickle.float(self.attribute(name)?)
    }

    fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        Ok(self.pickle.numbers(self.attribute(name)?)?.values)
    }

    fn text(&self, name: &str) -> Result<&'a str> {
        match self.attribute(name)? {
            Value::Text(text) => Ok(text),
            other => Err(Error::malformed(name, "text", format!("{other:?}"))),
        }
    }

    fn expect_text(&self, name: &str, wanted: &str) -> Result<()> {
        let text = self.text(name)?;
        if text == wanted {
            return Ok(());
        }
        Err(unsupported(&format!(
            "{name} is {text:?}; only {wanted:?} is known"
        )))
    }

    fn linear(&self, squared: bool) -> Result<Estimator> {
        let weights = self.numbers("coef_")?;
        let intercept = self.number("intercept_")?;
        Ok(if squared {
            Estimator::Polynomial { intercept, weights }
        } else {
            Estimator::Linear { intercept, weights }
        })
    }

    fn curve(&self) -> Result<Estimator> {
        let shape = match self.attribute("fit_func")? {
            Value::Class(Class::Exponential) => CurveShape::Exponential,
            Value::Class(Class::Logarithmic) => CurveShape::Logarithmic,
            Value::Class(Class::Logistic) => CurveShape::Logistic,
            other => return Err(unsupported(&format!("{other:?} is not a curve"))),
        };
        // The index as trained; the original recomputes it and takes the wrong column for three feature groups.
        let input = self.pickle.count(self.attribute("feature_index")?)?;
        Ok(Estimator::Curve(Curve {
            shape,
            input,
            weights: self.numbers("popt")?,
        }))
    }

    fn support_vectors(&self) -> Result<Estimator> {
        self.expect_text("kernel", "rbf")?;
        Ok(Estimator::SupportVectors(SupportVectors {
            gamma: self.number("_gamma")?,
            intercept: self.number("_intercept_")?,
            weights: self.numbers("_dual_coef_")?,
            vectors: self.numbers("support_vectors_")?,
        }))
    }

    fn neighbors(&self) -> Result<Estimator> {
        self.expect_text("weights", "uniform")?;
        self.expect_text("effective_metric_", "euclidean")?;
        let rows = self.pickle.numbers(self.attribute("_fit_X")?)?;
        let targets = self.numbers("_y")?;
        let width = rows.shape.get(1).copied().unwrap_or(0);
        if rows.values.len() != targets.len() * width {
            return Err(Error::malformed(
                "_fit_X",
                "as many rows as targets",
                rows.values.len().to_string(),
            ));
        }
        let knn = NearestNeighbors {
            neighbors: self.pickle.count(self.attribute("n_neighbors")?)?,
            leaf: None,
            rows: rows.values,
            targets,
        };
        if self.text("_fit_method")? != "kd_tree" {
            return Ok(Estimator::NearestNeighbors(knn));
        }
        let tree = self.pickle.state(self.attribute("_tree")?)?;
        let [_, order, _, _, leaf, ..] = tree else {
            return Err(Error::malformed(
                "_tree",
                "a search tree",
                format!("{} parts", tree.len()),
            ));
        };
        let order = self.pickle.numbers(*order)?.values;
        let leaf = self.pickle.count(*leaf)?;
        Ok(Estimator::NearestNeighbors(in_tree_order(
            &knn, &order, leaf, width,
        )?))
    }

    fn boosting(&self) -> Result<Estimator> {
        self.expect_text("loss", "squared_error")?;
        let rate = self.number("learning_rate")?;
        let first = self.attribute("init_")?;
        if self.pickle.class(first) != Some(Class::DummyRegressor) {
            return Err(unsupported("boosting that starts from another model"));
        }
        let mut trees = Trees {
            base: self
                .pickle
                .float(self.pickle.attribute(first, "constant_")?)?,
            ..Trees::default()
        };
        for tree in self.pickle.objects(self.attribute("estimators_")?)? {
            self.tree(*tree, rate, &mut trees)?;
        }
        Ok(Estimator::Trees(trees))
    }

    /// Appends one decision tree.
    fn tree(&self, tree: Value<'a>, rate: f64, trees: &mut Trees) -> Result<()> {
        let tree = self.pickle.attribute(tree, "tree_")?;
        let values = self
            .pickle
            .numbers(self.pickle.attribute(tree, "values")?)?
            .values;
        let nodes = self
            .pickle
            .records(self.pickle.attribute(tree, "nodes")?, &NODE_SIZES)?;
        let wrong =
            || Error::malformed("tree", "nodes with one value each", nodes.len().to_string());
        if nodes.is_empty() || values.len() != nodes.len() {
            return Err(wrong());
        }
        let first = u32::try_from(trees.value.len()).map_err(|_large| wrong())?;
        trees.roots.push(first);
        for (node, value) in nodes.iter().zip(values) {
            let word = |at: usize| <[u8; 8]>::try_from(&node[at..at + 8]).unwrap_or_default();
            let [left, right, feature] = [0, 8, 16].map(|at| i64::from_le_bytes(word(at)));
            if left < 0 {
                trees.push_leaf(rate * value);
                continue;
            }
            let feature = u16::try_from(feature).map_err(|_large| wrong())?;
            let split = trees.push_split(feature, at_most(f64::from_le_bytes(word(24))));
            let child = |n: i64| {
                let n = u32::try_from(n)
                    .ok()
                    .filter(|n| (*n as usize) < nodes.len());
                n.and_then(|n| n.checked_add(first)).ok_or_else(wrong)
            };
            trees.set_children(split, child(left)?, child(right)?);
        }
        Ok(())
    }
}

/// Bytes of a tree's node: left and right child, feature, threshold, impurity and two counts; newer ones have a flag with
/// padding too.
const NODE_SIZES: [usize; 2] = [56, 64];

/// Stored rows in the order of the search tree that they were pickled with.
fn in_tree_order(
    knn: &NearestNeighbors,
    order: &[f64],
    leaf: usize,
    width: usize,
) -> Result<NearestNeighbors> {
    let count = knn.targets.len();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float-to-integer cast saturates, and places are checked below"
    )]
    let order: Vec<usize> = order.iter().map(|place| *place as usize).collect();
    let mut seen = vec![false; count];
    for place in &order {
        match seen.get_mut(*place) {
            Some(seen) if !*seen => *seen = true,
            _ => {
                return Err(Error::malformed(
                    "_tree",
                    "each row once",
                    place.to_string(),
                ));
            }
        }
    }
    if order.len() != count {
        return Err(Error::malformed(
            "_tree",
            format!("{count} rows"),
            order.len().to_string(),
        ));
    }
    Ok(NearestNeighbors {
        neighbors: knn.neighbors,
        leaf: Some(leaf),
        rows: order
            .iter()
            .flat_map(|p| &knn.rows[p * width..][..width])
            .copied()
            .collect(),
        targets: order.iter().map(|p| knn.targets[*p]).collect(),
    })
}

fn unsupported(why: &str) -> Error {
    Error::Unsupported {
        what: "this pickled model".to_owned(),
        why: why.to_owned(),
        hint: String::new(),
    }
}

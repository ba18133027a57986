//! Reads the values in a joblib or pickle file without running anything in it.
//!
//! A pickle is a program for a stack machine that may call any function. [Ours](super::pickle_machine) knows a closed list
//! of names and calls none of them: an object is its class, its arguments and its state. Values are small copies or numbers
//! of nodes in one list, so nothing here recurses, loops in the data do no harm, and memory stays in proportion to the input.

use super::pickle_array::Array;
use super::pickle_machine;
use crate::error::{Error, Result};

/// A value on the machine's stack.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Class(Class),
    /// A node of [`Pickle::nodes`].
    Node(usize),
}

/// What a value that holds others is.
#[derive(Debug)]
pub(super) enum Node<'a> {
    Sequence(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    Object {
        class: Class,
        arguments: Value<'a>,
        state: Value<'a>,
    },
    /// Bytes that were spelled as text.
    Decoded(Vec<u8>),
    Array(Array<'a>),
}

/// The names that a pickle may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    ArrayWrapper,
    Ndarray,
    Dtype,
    Scalar,
    Reconstruct,
    FromBuffer,
    Encode,
    MaxAbsScaler,
    MinMaxScaler,
    StandardScaler,
    PolynomialFeatures,
    LinearRegression,
    SgdRegressor,
    /// Steps one after the other.
    Pipeline,
    Svr,
    KNeighborsRegressor,
    GradientBoosting,
    DummyRegressor,
    DecisionTree,
    Tree,
    CurveFit,
    Exponential,
    Logarithmic,
    Logistic,
    /// A search tree over stored rows; its state is a tuple.
    KdTree,
    /// `newObj(class)`: an object of the class in its arguments.
    NewObject,
    /// A known name whose contents are of no use here.
    Opaque,
}

/// A pickle that was read: its nodes and the value it stands for.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) root: Value<'a>,
}

impl<'a> Pickle<'a> {
    /// Reads a whole file.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the byte offset; [`Error::Unsupported`] for a name that is not on the list.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        pickle_machine::run(bytes)
    }

    pub(super) fn root(&self) -> Value<'a> {
        self.root
    }

    pub(super) fn node(&self, value: Value<'a>) -> Option<&Node<'a>> {
        match value {
            Value::Node(node) => self.nodes.get(node),
            _ => None,
        }
    }

    /// The class of an object.
    pub(super) fn class(&self, value: Value<'a>) -> Option<Class> {
        match self.node(value) {
            Some(Node::Object { class, .. }) => Some(*class),
            _ => None,
        }
    }

    /// An attribute of an object, from the dictionary that is its state.
    pub(super) fn attribute(&self, object: Value<'a>, name: &str) -> Result<Value<'a>> {
        let state = match self.node(object) {
            Some(Node::Object { state, .. }) => self.node(*state),
            _ => None,
        };
        let found = match state {
            Some(Node::Dict(items)) => items
                .iter()
                .find(|(key, _)| matches!(key, Value::Text(text) if *text == name)),
            _ => None,
        };
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| Error::malformed("pickle", format!("an object with {name}"), "none"))
    }

    /// The items of a list or tuple.
    pub(super) fn items(&self, value: Value<'a>) -> Result<&[Value<'a>]> {
        match self.node(value) {
            Some(Node::Sequence(items)) => Ok(items),
            _ => Err(Error::malformed("pickle", "a list", format!("{value:?}"))),
        }
    }

    /// The tuple that is an object's state.
    pub(super) fn state(&self, object: Value<'a>) -> Result<&[Value<'a>]> {
        match self.node(object) {
            Some(Node::Object { state, .. }) => self.items(*state),
            _ => Err(Error::malformed(
                "pickle",
                "an object",
                format!("{object:?}"),
            )),
        }
    }

    /// The arguments that an object was made with.
    pub(super) fn arguments(&self, object: Value<'a>) -> Result<&[Value<'a>]> {
        match self.node(object) {
            Some(Node::Object { arguments, .. }) => self.items(*arguments),
            _ => Err(Error::malformed(
                "pickle",
                "an object",
                format!("{object:?}"),
            )),
        }
    }
}

/// The known names.
pub(super) fn class(module: &str, name: &str) -> Option<Class> {
    Some(match (module, name) {
        ("joblib.numpy_pickle", "NumpyArrayWrapper") => Class::ArrayWrapper,
        ("numpy", "ndarray") => Class::Ndarray,
        ("numpy", "dtype") => Class::Dtype,
        ("numpy._core.multiarray" | "numpy.core.multiarray", "scalar") => Class::Scalar,
        ("numpy._core.multiarray" | "numpy.core.multiarray", "_reconstruct") => Class::Reconstruct,
        ("numpy._core.numeric" | "numpy.core.numeric", "_frombuffer") => Class::FromBuffer,
        ("_codecs", "encode") => Class::Encode,
        ("sklearn.preprocessing._data", "MaxAbsScaler") => Class::MaxAbsScaler,
        ("sklearn.preprocessing._data", "MinMaxScaler") => Class::MinMaxScaler,
        ("sklearn.preprocessing._data", "StandardScaler") => Class::StandardScaler,
        ("sklearn.preprocessing._polynomial", "PolynomialFeatures") => Class::PolynomialFeatures,
        ("sklearn.linear_model._base", "LinearRegression") => Class::LinearRegression,
        ("sklearn.linear_model._stochastic_gradient", "SGDRegressor") => Class::SgdRegressor,
        ("sklearn.pipeline", "Pipeline") => Class::Pipeline,
        ("sklearn.svm._classes", "SVR") => Class::Svr,
        ("sklearn.neighbors._regression", "KNeighborsRegressor") => Class::KNeighborsRegressor,
        ("sklearn.neighbors._kd_tree", "KDTree") => Class::KdTree,
        (
            "sklearn.neighbors._kd_tree"
            | "sklearn.neighbors._dist_metrics"
            | "sklearn.metrics._dist_metrics",
            "newObj",
        ) => Class::NewObject,
        ("sklearn.ensemble._gb", "GradientBoostingRegressor") => Class::GradientBoosting,
        ("sklearn.dummy", "DummyRegressor") => Class::DummyRegressor,
        ("sklearn.tree._classes", "DecisionTreeRegressor") => Class::DecisionTree,
        ("sklearn.tree._tree", "Tree") => Class::Tree,
        ("trainer.curvefit" | "train.trainer.curvefit", "CurveFitModel") => Class::CurveFit,
        ("train.trainer.ExponentialRegressionTrainer.main", "expo_func") => Class::Exponential,
        ("train.trainer.LogarithmicRegressionTrainer.main", "log_func") => Class::Logarithmic,
        ("train.trainer.LogisticRegressionTrainer.main", "logi_func") => Class::Logistic,
        ("sklearn.metrics._dist_metrics", "EuclideanDistance64" | "EuclideanDistance")
        | ("sklearn.neighbors._dist_metrics", "EuclideanDistance")
        | ("sklearn._loss.loss", "HalfSquaredError")
        | ("sklearn.ensemble._gb_losses", "LeastSquaresError")
        | ("sklearn._loss.link", "IdentityLink" | "Interval")
        | (
            "_loss" | "sklearn._loss._loss",
            "CyHalfSquaredError" | "__pyx_unpickle_CyHalfSquaredError",
        )
        | ("numpy.random._pickle", "__randomstate_ctor" | "__bit_generator_ctor")
        | ("numpy.random._mt19937", "MT19937")
        | ("numpy.random.bit_generator", "SeedSequence" | "__pyx_unpickle_SeedSequence")
        | (
            "train.trainer.ExponentialRegressionTrainer.main"
            | "train.trainer.LogarithmicRegressionTrainer.main"
            | "train.trainer.LogisticRegressionTrainer.main",
            "p0_func",
        ) => Class::Opaque,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn fails(bytes: &[u8]) -> Error {
        Pickle::read(bytes).unwrap_err()
    }

    #[test]
    fn a_call_of_the_system_is_refused_by_name_and_offset() {
        let error = fails(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(
            error.to_string().starts_with("pickle byte 2: os.system"),
            "{error}"
        );
        let stacked = fails(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02ls\x85R.");
        assert!(stacked.to_string().contains("posix.system"), "{stacked}");
    }

    #[test]
    fn a_gigabyte_that_is_not_there_is_an_error_with_its_offset() {
        let error = fails(b"\x80\x04B\x00\x00\x00\x40abc.");
        assert_eq!(
            error.to_string(),
            "pickle byte 7: expected 1073741824 bytes, found \"4 left\""
        );
        fails(b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff.");
    }

    #[test]
    fn a_list_that_holds_itself_is_read() {
        // l = []; l.append(l), a million times over in depth if it were walked.
        let pickle = Pickle::read(b"\x80\x04]\x94h\x00a.").unwrap();
        assert_eq!(pickle.items(pickle.root()).unwrap().len(), 1);
    }

    #[test]
    fn nesting_costs_no_stack() {
        let mut deep = b"\x80\x04N".to_vec();
        deep.extend(std::iter::repeat_n(0x85, 1_000_000));
        deep.push(b'.');
        Pickle::read(&deep).unwrap();
    }

    #[test]
    fn text_cannot_be_decoded_over_and_over() {
        let mut bytes = b"\x80\x02c_codecs\nencode\nq\x00X\xe8\x03\x00\x00".to_vec();
        bytes.extend([b'a'; 1000]);
        bytes.extend(b"q\x01X\x06\x00\x00\x00latin1\x86R");
        for _ in 0..20 {
            bytes.extend(b"0h\x00h\x01X\x06\x00\x00\x00latin1\x86R");
        }
        bytes.push(b'.');
        assert!(fails(&bytes).to_string().contains("more decoded text"));
    }

    #[test]
    fn every_cut_is_an_error() {
        let whole = b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01aK\x01\x8c\x01bG?\xf0\x00\x00\x00\x00\x00\x00u.";
        Pickle::read(whole).unwrap();
        for end in 0..whole.len() {
            assert_eq!(
                fails(&whole[..end]).kind(),
                ErrorKind::Malformed,
                "cut at {end}"
            );
        }
    }
}

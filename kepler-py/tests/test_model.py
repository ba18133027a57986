"""Power models: arrays, frames and dictionaries in, NumPy arrays out."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import kepler

FILE = {
    "format": "kepler-model/1",
    "name": "two-lines",
    "output_type": "AbsPower",
    "energy_source": "rapl-sysfs",
    "features": [
        {"name": "bpf_cpu_time_ms", "unit": "ms/s", "scale": 1.0, "min": 0.0, "max": 1000.0},
        {"name": "cpu_cycles", "unit": "1/s", "scale": 1.0},
    ],
    "components": {
        "package": {
            "estimator": {"kind": "linear", "intercept": 10.0, "weights": [0.02, 0.5]},
            "errors": [{"split": "blocked-folds", "rows": 100, "mae": 2.0}],
        },
        "dram": {"estimator": {"kind": "linear", "intercept": -5.0, "weights": [0.01, 0.0]}},
    },
}
ROWS = np.array([[0.0, 0.0], [100.0, 4.0], [2000.0, 2.0]])
# 10 + 0.02 x + 0.5 y, and -5 + 0.01 x clamped at 0
PACKAGE = [10.0, 14.0, 51.0]
DRAM = [0.0, 0.0, 15.0]


@pytest.fixture(scope="module")
def model():
    return kepler.PowerModel.from_json(json.dumps(FILE))


def test_what_a_model_is_made_of(model):
    assert model.name == "two-lines"
    assert model.features == ["bpf_cpu_time_ms", "cpu_cycles"]
    assert model.components == ["package", "dram"]
    assert (model.output_type, model.energy_source) == ("AbsPower", "rapl-sysfs")
    assert "two-lines" in str(model)


@pytest.mark.parametrize(
    "data",
    [
        ROWS,
        ROWS.tolist(),
        np.asfortranarray(ROWS),
        np.repeat(ROWS, 2, axis=0)[::2],
        {"cpu_cycles": ROWS[:, 1], "bpf_cpu_time_ms": ROWS[:, 0]},
        pd.DataFrame({"when": ["a", "b", "c"], "cpu_cycles": ROWS[:, 1], "bpf_cpu_time_ms": ROWS[:, 0]}),
        pl.DataFrame({"when": ["a", "b", "c"], "cpu_cycles": ROWS[:, 1], "bpf_cpu_time_ms": ROWS[:, 0]}),
    ],
    ids=["array", "list", "fortran", "strided", "dict", "pandas", "polars"],
)
def test_every_form_of_rows_gives_the_same_watts(model, data):
    watts = model.predict(data)
    assert watts["package"].tolist() == pytest.approx(PACKAGE, rel=1e-12)
    assert watts["dram"].tolist() == pytest.approx(DRAM, rel=1e-12)
    assert watts.in_range.tolist() == [True, True, False]


def test_one_row_may_be_scalars(model):
    assert model.predict({"bpf_cpu_time_ms": 100.0, "cpu_cycles": 4.0})["package"].tolist() == [14.0]
    assert model.predict([100.0, 4.0])["package"].tolist() == [14.0]


def test_an_interval_is_made_of_the_held_out_error(model):
    intervals = model.predict_with_interval(ROWS)
    package = intervals["package"]
    # a Laplace distribution of mean 2 W holds 90 % within 2 ln 10 W
    assert package.low.tolist() == pytest.approx([w - 2 * np.log(10) for w in PACKAGE])
    assert package.high.tolist() == pytest.approx([w + 2 * np.log(10) for w in PACKAGE])
    assert package.level == 0.9
    assert intervals["dram"].low is None


def test_missing_and_unknown_features_are_named(model):
    with pytest.raises(kepler.NotFound, match="cpu_cycles"):
        model.predict({"bpf_cpu_time_ms": [1.0]})
    with pytest.raises(kepler.NotFound, match="cpu_time"):
        model.predict({"bpf_cpu_time_ms": [1.0], "cpu_cycles": [1.0], "cpu_time": [1.0]})
    with pytest.raises(kepler.NotFound, match="cpu_cycles"):
        model.predict(pd.DataFrame({"bpf_cpu_time_ms": [1.0]}))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(model, bad):
    with pytest.raises(kepler.InvalidInput, match="row 1"):
        model.predict(np.array([[1.0, 2.0], [1.0, bad]]))


def test_a_wrong_number_of_columns_is_refused(model):
    with pytest.raises(ValueError, match="3 columns"):
        model.predict(np.ones((2, 3)))


def test_what_is_no_table_of_two_dimensions_is_refused(model):
    with pytest.raises(kepler.InvalidInput, match=r"data: expected shape \(rows, features\), found \(1, 2, 2\)"):
        model.predict(np.ones((1, 2, 2)))
    with pytest.raises(kepler.InvalidInput, match=r"cpu_cycles: expected one number a row, found shape \(2, 1\)"):
        model.predict({"bpf_cpu_time_ms": [1.0, 2.0], "cpu_cycles": np.ones((2, 1))})


def test_text_that_is_no_model_is_malformed():
    with pytest.raises(kepler.Malformed):
        kepler.PowerModel.from_json("{}")


def test_a_round_trip_gives_the_same_model(model, tmp_path):
    model.save(tmp_path / "model.json")
    for copy in (
        kepler.PowerModel.from_json((tmp_path / "model.json").read_bytes()),
        pickle.loads(pickle.dumps(model)),  # noqa: S301
    ):
        assert copy.to_dict() == model.to_dict()
        assert (copy.predict(ROWS)["package"] == model.predict(ROWS)["package"]).all()


def test_arrays_are_read_in_place(model):
    rows = np.zeros((500_000, 2))
    import tracemalloc

    tracemalloc.start()
    model.predict(rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # a copy of the rows would be 8 MB, seen by NumPy's own allocator
    assert peak < 1_000_000


def test_a_file_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(kepler.NotFound, match="nothing.json"):
        kepler.PowerModel.load(tmp_path / "nothing.json")


def test_a_model_of_the_public_database_is_read(tmp_path):
    # weights of the published shape
    weights = {
        "All_Weights": {
            "Bias_Weight": 5.0,
            "Categorical_Variables": {},
            "Numerical_Variables": {"bpf_cpu_time_ms": {"scale": 2.0, "weight": 3.0}},
        }
    }
    (tmp_path / "weight.json").write_text(json.dumps({"package": weights}))
    model = kepler.PowerModel.load(tmp_path / "weight.json")
    # the database scales by the maximum alone: 5 + 3 * 12 / 2
    assert model.predict({"bpf_cpu_time_ms": [12.0]})["package"].tolist() == [23.0]


def shared(path):
    """A path of the reference data, or skip; with CI set it must be there."""
    root = Path(os.environ.get("KEPLER_SHARED", Path(__file__).parents[3] / "shared"))
    if not root.exists() and not os.environ.get("CI"):
        pytest.skip(f"no reference data in {root}")
    return root / path


@pytest.fixture(scope="module")
def registry():
    return kepler.ModelRegistry(shared("data/kepler-model-db/v0.7/ec2-0.7.11.zip"))


def test_a_pipeline_is_indexed_and_its_models_predict(registry):
    assert len(registry) == len(registry.entries) > 0
    entry = registry.entries[0]
    model = registry.model(entry)
    assert model.features == entry.features
    watts = model.predict(np.ones((2, len(entry.features))))
    assert list(watts) == model.components


def test_the_best_model_needs_no_more_than_what_is_at_hand(registry):
    at_hand = ["bpf_cpu_time_ms", "bpf_page_cache_hit", "cache_miss"]
    chosen = registry.select(source="rapl-sysfs", output_type="AbsPower", features=at_hand)
    assert set(chosen.model.features) <= set(at_hand)
    assert chosen.mae_watts > 0


def test_no_model_fits_where_no_feature_is_at_hand(registry):
    assert registry.select(source="rapl-sysfs", output_type="AbsPower", features=["no_such_feature"]) is None


def test_one_name_is_no_list_of_names(registry):
    with pytest.raises(TypeError, match=r"^features: give a list of names, as in \['cpu_cycles'\]$"):
        registry.select(source="acpi", output_type="AbsPower", features="cpu_cycles")


def test_words_outside_of_the_vocabulary_are_refused(registry):
    with pytest.raises(kepler.NotFound, match="rapl-sysfs"):
        registry.select(source="guess", output_type="AbsPower", features=[])
    with pytest.raises(kepler.InvalidInput, match="policy"):
        registry.select(source="acpi", output_type="AbsPower", features=[], policy="guess")
    with pytest.raises(kepler.NotFound, match=r"nowhere\.zip"):
        registry.model("nowhere.zip")


def test_a_folder_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(kepler.NotFound, match="nowhere"):
        kepler.ModelRegistry(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"bpf_cpu_time_ms": [1.0, 2.0], "cpu_cycles": [1.0, 2.0, 3.0]}, "cpu_cycles 3"),
        ({"bpf_cpu_time_ms": [1.0], "cpu_cycles": [1j]}, "cpu_cycles: .*complex"),
        ({"bpf_cpu_time_ms": [1.0], "cpu_cycles": ["much"]}, "cpu_cycles: "),
        ({"bpf_cpu_time_ms": [1.0], "cpu_cycles": np.ma.masked_array([1.0], [True])}, "cpu_cycles: .*masked"),
        (np.ma.masked_array(ROWS, ROWS > 1000), "masked"),
        (ROWS * 1j, "complex"),
        ([[1.0, 2.0], [1.0]], "data: "),
        (pd.DataFrame({"bpf_cpu_time_ms": [1.0], "cpu_cycles": pd.array([None], dtype="Int64")}), "data: "),
    ],
)
def test_what_would_be_bent_is_refused(model, data, named):
    with pytest.raises(kepler.InvalidInput, match=named):
        model.predict(data)


def test_columns_are_named_by_text(model):
    with pytest.raises(TypeError, match="columns"):
        model.predict({0: [1.0], 1: [2.0]})


def test_a_pipe_in_place_of_a_model_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for opened in (kepler.PowerModel.load, kepler.ModelRegistry, kepler.train):
        with pytest.raises(kepler.KeplerError, match="pipe"):
            opened(tmp_path / "pipe")

"""Training from frames, mappings and files."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

import kepler


def rows(count=200, seed=0):
    random = np.random.default_rng(seed)
    cpu, cycles = random.uniform(0, 1000, count), random.uniform(0, 5, count)
    return {
        "when": np.arange(count)[::-1] * 3.0,
        "bpf_cpu_time_ms": cpu,
        "cpu_cycles": cycles,
        "package_power": 50 + 0.02 * cpu + 3 * cycles,
        "dram_power": 5 + 0.001 * cpu,
    }


@pytest.mark.parametrize("form", [dict, pd.DataFrame, pl.DataFrame], ids=["dict", "pandas", "polars"])
def test_a_plane_is_found_in_every_form_of_rows(form):
    model = kepler.train(form(rows()), time="when", trainer="LinearRegressionTrainer", energy_source="rapl-sysfs")
    assert model.features == ["bpf_cpu_time_ms", "cpu_cycles"]
    watts = model.predict({"bpf_cpu_time_ms": [500.0], "cpu_cycles": [2.0]})
    assert watts["package"][0] == pytest.approx(66.0, abs=1e-6)
    assert watts["dram"][0] == pytest.approx(5.5, abs=1e-6)
    (blocked, shuffled) = model.to_dict()["components"]["package"]["errors"]
    assert (blocked["split"], shuffled["split"]) == ("blocked-folds", "shuffled-folds")
    assert blocked["mae"] < 1e-6
    interval = model.predict_with_interval({"bpf_cpu_time_ms": [500.0], "cpu_cycles": [2.0]})["package"]
    assert interval.low[0] <= 66.0 + 1e-6
    assert interval.high[0] >= 66.0 - 1e-6


def test_a_file_gives_the_same_model_as_its_frame(tmp_path):
    frame = pd.DataFrame(rows()).rename(columns={"when": "timestamp"}).sort_values("timestamp")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    options = {"trainer": "GradientBoostingRegressorTrainer", "folds": 3, "features": ["cpu_cycles"]}
    from_file = kepler.train(tmp_path / "rows.csv", **options)
    from_frame = kepler.train(frame, time="timestamp", **options)
    assert from_file.to_json() == from_frame.to_json()


def test_columns_of_a_file_are_what_was_chosen(tmp_path):
    data = {**rows(), "host": ["a", "b"] * 100}
    file = tmp_path / "rows.csv"
    pd.DataFrame(data).to_csv(file, index=False)
    options = {"trainer": "LinearRegressionTrainer", "folds": 2, "features": ["cpu_cycles"], "target": "dram_power"}
    told = {"time": "when", "machine": "host"}
    from_file = kepler.train(file, **options, **told)
    assert from_file.components == ["dram"]
    assert from_file.to_json() == kepler.train(data, **options, **told).to_json()
    errors = from_file.to_dict()["components"]["dram"]["errors"]
    assert errors[0]["split"] == "machine-out"
    for wrong in ({"target": "no_such"}, {"time": "no_such"}, {"machine": "no_such"}):
        with pytest.raises(kepler.NotFound, match="no_such"):
            kepler.train(file, **{**options, **wrong})


@pytest.mark.parametrize("form", ["mapping", "frame", "file"])
def test_what_tells_power_is_no_feature_by_default(form, tmp_path):
    cpu = np.linspace(0, 100, 50)
    told = {"dram_power": cpu / 9, "watts": cpu + 50, "joules_package": cpu * 3, "timestamp": np.arange(50.0)}
    data = {"bpf_cpu_time_ms": cpu, "package_power": cpu + 50, **told}
    pd.DataFrame(data).to_csv(tmp_path / "rows.csv", index=False)
    data = {"mapping": data, "frame": pd.DataFrame(data), "file": tmp_path / "rows.csv"}[form]
    options = {"target": "package_power", "trainer": "LinearRegressionTrainer", "splits": []}
    assert kepler.train(data, **options).features == ["bpf_cpu_time_ms"]
    asked = kepler.train(data, features=["dram_power"], **options)
    assert asked.features == ["dram_power"]
    with pytest.raises(kepler.InvalidInput, match="package_power"):
        kepler.train(data, features=["package_power"], **options)


def test_datetimes_order_the_rows():
    by_seconds = kepler.train(rows(), time="when", trainer="LinearRegressionTrainer", folds=3)
    when = rows()["when"]
    zoned = pd.Series(pd.to_datetime(when, unit="s", utc=True)).dt.tz_convert("Asia/Tokyo")
    for times in (pd.Series(pd.to_datetime(when, unit="s")), zoned, [time.to_pydatetime() for time in zoned]):
        by_datetime = kepler.train({**rows(), "when": times}, time="when", trainer="LinearRegressionTrainer", folds=3)
        assert by_datetime.to_json() == by_seconds.to_json()


def test_a_time_that_is_missing_is_refused():
    for utc in (False, True):
        when = pd.to_datetime(["2024-01-01", None, "2024-01-03"], utc=utc)
        with pytest.raises(kepler.InvalidInput, match="when: "):
            kepler.train({**BASE, "when": when}, time="when", trainer="LinearRegressionTrainer", splits=[])


BASE = {"a": [1.0, 2.0, 3.0], "package_power": [2.0, 3.0, 4.0]}


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({**BASE, "b": [1.0, 2.0]}, "b 2"),
        ({**BASE, "b": [True, False, True]}, "b: "),
        ({**BASE, "b": [1 + 2j, 2, 3]}, "b: "),
        ({**BASE, "a": [1 + 2j, 2, 3]}, "a: "),
        ({**BASE, "b": np.ma.masked_array([1.0, 2.0, 3.0], [False, True, False])}, "b: .*masked"),
        (
            {**BASE, "package_power": np.ma.masked_array([1.0, 2.0, 3.0], [False, True, False])},
            "package_power: .*masked",
        ),
        (pd.DataFrame({**BASE, "b": pd.array([1, None, 3], dtype="Int64")}), "b: |not a finite number"),
        ({**BASE, "package_power": ["x", "y", "z"]}, "package_power: "),
        ({**BASE, "a": [[1.0, 2.0]] * 3}, "a: "),
    ],
)
def test_columns_that_would_be_bent_are_refused_by_name(data, named):
    with pytest.raises(kepler.InvalidInput, match=named):
        kepler.train(data, splits=[], trainer="LinearRegressionTrainer")


@pytest.mark.parametrize("option", ["features", "splits"])
def test_one_name_is_no_list_of_names(option):
    with pytest.raises(TypeError, match=rf"^{option}: give a list of names, as in \['a'\]$"):
        kepler.train(BASE, **{option: "a"})


def test_text_columns_are_left_alone():
    model = kepler.train({**BASE, "comm": ["a", "b", "c"]}, splits=[], trainer="LinearRegressionTrainer")
    assert model.features == ["a"]


def test_what_is_no_table_is_a_type_error_that_says_so():
    with pytest.raises(TypeError, match="data: .*ndarray"):
        kepler.train(np.zeros((3, 2)))
    with pytest.raises(TypeError, match="columns.*0"):
        kepler.train(pd.DataFrame(np.zeros((3, 2))))


@pytest.mark.parametrize("option", ["folds", "seed"])
@pytest.mark.parametrize("number", [-1, 2**70])
def test_numbers_out_of_range_are_named(option, number):
    with pytest.raises(kepler.InvalidInput, match=option):
        kepler.train(BASE, **{option: number})


def test_numbers_of_numpy_are_numbers():
    first = kepler.train(BASE, seed=np.int64(3), folds=np.uint8(2), trainer="LinearRegressionTrainer")
    assert first.to_json() == kepler.train(BASE, seed=3, folds=2, trainer="LinearRegressionTrainer").to_json()


def test_whole_machines_are_held_out_when_they_are_told():
    data = {**rows(), "host": ["a", "b"] * 100}
    model = kepler.train(data, machine="host", features=["cpu_cycles"], trainer="LinearRegressionTrainer", folds=2)
    assert model.to_dict()["components"]["package"]["errors"][0]["split"] == "machine-out"


def test_progress_rises_to_the_end():
    told = []
    kepler.train(
        rows(), target="package_power", trainer="XgboostFitTrainer", folds=3, progress=lambda *now: told.append(now)
    )
    shares = [done for done, _ in told]
    assert len(shares) > 3
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1
    assert all("XgboostFitTrainer" in stage for _, stage in told)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_the_callback_raises_stops_the_training(error):
    def stop(_done, _stage):
        raise error

    with pytest.raises(error):
        kepler.train(rows(), progress=stop)


def test_ctrl_c_stops_the_training():
    import _thread

    def press(_done, _stage):
        _thread.interrupt_main()

    with pytest.raises(KeyboardInterrupt):
        kepler.train(rows(), progress=press)


def test_the_same_seed_gives_the_same_model():
    first, second = (kepler.train(rows(), seed=7, folds=2, target="dram_power").to_json() for _ in range(2))
    assert first == second


def test_columns_and_words_that_make_no_sense_are_named():
    with pytest.raises(kepler.NotFound, match="no_column"):
        kepler.train(rows(), features=["no_column"])
    with pytest.raises(kepler.InvalidInput, match="package_power"):
        kepler.train({"a": [1.0], "b": [2.0]})
    with pytest.raises(kepler.InvalidInput, match="package_power; there are none$"):
        kepler.train({})
    with pytest.raises(kepler.NotFound, match="trainer"):
        kepler.train(rows(), trainer="GuessTrainer")
    with pytest.raises(kepler.InvalidInput, match="split"):
        kepler.train(rows(), splits=["guess"])
    with pytest.raises(kepler.InvalidInput):
        kepler.train({"a": [1.0, np.nan], "package_power": [2.0, 3.0]}, folds=2)

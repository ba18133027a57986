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
    with pytest.raises(kepler.NotFound, match="trainer"):
        kepler.train(rows(), trainer="GuessTrainer")
    with pytest.raises(kepler.InvalidInput, match="split"):
        kepler.train(rows(), splits=["guess"])
    with pytest.raises(kepler.InvalidInput):
        kepler.train({"a": [1.0, np.nan], "package_power": [2.0, 3.0]}, folds=2)

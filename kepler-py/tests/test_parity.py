"""The package holds the names of the shared list, no fewer and no more."""

import inspect
import json
import re
from pathlib import Path

import pytest

import kepler

ROOT = Path(__file__).parents[2]
API = json.loads((ROOT / "kepler-core/tests/api.json").read_text())


def public(thing):
    return {name for name in vars(thing) if not name.startswith("_")}


def test_functions_are_those_of_the_list():
    functions = {name for name in kepler.__all__ if not inspect.isclass(getattr(kepler, name))}
    assert functions == set(API["functions"]) | set(API["python"]["functions"])


def test_errors_are_those_of_the_list():
    errors = {
        name
        for name in kepler.__all__
        if inspect.isclass(getattr(kepler, name)) and issubclass(getattr(kepler, name), kepler.KeplerError)
    }
    assert errors == {*API["errors"], "KeplerError"}


def test_classes_are_those_of_the_list():
    classes = {name for name in kepler.__all__ if inspect.isclass(getattr(kepler, name))}
    assert classes == {*API["types"], *API["python"]["classes"], *API["errors"], "KeplerError"}


@pytest.mark.parametrize("name", API["types"])
def test_members_are_those_of_the_list(name):
    assert public(getattr(kepler, name)) == set(API["types"][name]) | set(API["python"]["types"].get(name, []))


# Predictions are a dict of watts here.
@pytest.mark.parametrize("name", [name for name in API["records"] if name != "Predictions"])
def test_records_have_the_fields_of_the_list(name):
    record = getattr(kepler, name)
    fields = public(record) | set(inspect.get_annotations(record))
    assert fields - {"to_dict"} == set(API["records"][name]) | ({"model"} if name == "Selection" else set())


def test_one_version_everywhere():
    (cargo,) = re.findall(r'\[workspace.package\]\nversion = "([^"]+)"', (ROOT / "Cargo.toml").read_text())
    node = json.loads((ROOT / "kepler-node/package.json").read_text())["version"]
    assert kepler.version() == kepler.__version__ == cargo == node

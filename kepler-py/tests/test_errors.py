"""Each error kind of the core is one exception class, all of them KeplerError."""

import json
from pathlib import Path

import pytest

import kepler
from kepler import _kepler

API = json.loads((Path(__file__).parents[2] / "kepler-core/tests/api.json").read_text())


@pytest.mark.parametrize("kind", API["errors"])
def test_each_kind_is_a_class_of_its_own(kind):
    with pytest.raises(kepler.KeplerError) as caught:
        _kepler._raise(kind)
    assert type(caught.value) is getattr(kepler, kind)
    assert str(caught.value)


@pytest.mark.parametrize(
    ("ours", "builtin"),
    [("NotFound", LookupError), ("PermissionDenied", PermissionError), ("InvalidInput", ValueError), ("Io", OSError)],
)
def test_kinds_are_caught_by_the_builtin_they_resemble(ours, builtin):
    with pytest.raises(builtin):
        _kepler._raise(ours)


def test_only_what_may_pass_is_temporary():
    with pytest.raises(kepler.Io) as busy:
        _kepler._raise("Io")
    with pytest.raises(kepler.NotFound) as missing:
        _kepler._raise("NotFound")
    assert busy.value.is_temporary
    assert not missing.value.is_temporary

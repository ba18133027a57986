"""scikit-learn's own checks of an estimator."""

import pytest

pytest.importorskip("sklearn")
from sklearn.utils.estimator_checks import parametrize_with_checks

from kepler.sklearn import PowerRegressor


@parametrize_with_checks([PowerRegressor()])
def test_power_regressor_is_an_estimator(estimator, check):
    check(estimator)

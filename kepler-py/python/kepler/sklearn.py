"""Power models with the habits of scikit-learn, which must be installed."""

# scikit-learn has no type stubs.
# pyright: basic, reportUntypedBaseClass=false

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from kepler._model import PowerModel
from kepler._train import train


class PowerRegressor(RegressorMixin, BaseEstimator):
    """Predict watts from what a machine does.

    Parameters
    ----------
    trainer
        The algorithm; see :func:`kepler.train`.
    seed
        The seed of whatever is random.

    Attributes
    ----------
    model_
        The :class:`kepler.PowerModel` behind it, its features named as the columns of the frame that it was fitted on.

    Examples
    --------
    >>> from kepler.sklearn import PowerRegressor
    >>> regressor = PowerRegressor(trainer="LinearRegressionTrainer").fit([[0.0], [1.0], [2.0]], [50.0, 60.0, 70.0])
    >>> regressor.predict([[1.5]]).round(6).tolist()
    [65.0]
    """

    def __init__(self, trainer: str = "GradientBoostingRegressorTrainer", seed: int = 0) -> None:
        self.trainer = trainer
        self.seed = seed

    def fit(self, X: Any, y: Any) -> PowerRegressor:
        """Fit to rows of shape (rows, features) and watts of shape (rows,)."""
        checked: Any = validate_data(self, X, y, y_numeric=True, dtype=np.float64)
        values, watts = checked
        names = getattr(self, "feature_names_in_", [f"x{number}" for number in range(values.shape[1])])
        rows: dict[str, Any] = {str(name): column for name, column in zip(names, values.T, strict=True)}
        target = "watts" if "watts" not in rows else "watts of the model"
        features = list(rows)
        self.model_: PowerModel = train(
            {**rows, target: watts}, target=target, features=features, trainer=self.trainer, seed=self.seed, splits=[]
        )
        return self

    def predict(self, X: Any) -> Any:
        """Return watts of shape (rows,); never negative."""
        check_is_fitted(self)
        values: Any = validate_data(self, X, reset=False, dtype=np.float64)
        return self.model_.predict(values)["platform"]

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that power is positive."""
        tags: Any = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags

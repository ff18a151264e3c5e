"""A forest or LightGBM model for each task, to compare with a joint network."""

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.utils.metaestimators import available_if

from skmtl._inputs import check_inputs
from skmtl._targets import check_labelled, classes_attribute, decode, encode, is_binary

# The names of the models; "lightgbm" must be installed.
KINDS = ("forest", "lightgbm")


def check_installed(kind: str) -> None:
    """Raise if the package of a model is not installed."""
    if kind == "lightgbm" and find_spec("lightgbm") is None:
        raise ImportError(
            "The packages of models must be installed, but 'lightgbm' is not. Run `pip "
            "install lightgbm`, or leave it out of models."
        )


def _has_classes(models: "SeparateModels") -> bool:
    return bool(models.task_types != "number")


class SeparateModels(BaseEstimator):
    """One model per task, trained on its observed rows, to replace a network.

    It reads X and y like `network`, and its predictions have the same form.
    """

    def __init__(
        self, kind: str, network: Any, task_types: Any, random_state: Any = None
    ) -> None:
        self.kind = kind
        self.network = network
        self.task_types = task_types
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "SeparateModels":
        """Fit a model for each task on its observed rows."""
        self._reader = clone(self.network)
        X, self._columns = check_inputs(self._reader, X)
        X = _as_floats(X)
        self._tasks, codes, numbers = encode(y, self.task_types)
        self._is_labelled = np.asarray((codes >= 0).any(axis=0))
        check_labelled(self._tasks, self._is_labelled)
        self.classes_ = classes_attribute(self._tasks)
        self._models = []
        for t, is_number in enumerate(self._tasks.are_numbers):
            rows = np.flatnonzero(codes[:, t] >= 0)
            values = codes if numbers is None or not is_number else numbers
            self._models.append(self._fit_task(X[rows], values[rows, t], is_number))
        return self

    def _fit_task(self, X: Any, y: NDArray, is_number: bool) -> Any:
        """A model; if there is only one value, this value; without rows, None."""
        if len(y) == 0:
            return None
        if (y == y[0]).all():
            return y[0]
        if self.kind == "forest":
            forest = RandomForestRegressor if is_number else RandomForestClassifier
            return forest(random_state=self.random_state).fit(X, y)
        import lightgbm

        boosting = lightgbm.LGBMRegressor if is_number else lightgbm.LGBMClassifier
        model = boosting(random_state=self.random_state, n_jobs=1, verbose=-1)
        categorical = list(self._columns.categories)
        return model.fit(X, y, categorical_feature=categorical or "auto")

    def _outputs(self, X: Any) -> list[NDArray]:
        """For each task, numbers (n,) or probabilities (n, n_classes)."""
        X, _ = check_inputs(self._reader, X, self._columns)
        X = _as_floats(X)
        return [self._output(X, t) for t in range(self._tasks.n_tasks)]

    def _output(self, X: Any, t: int) -> NDArray:
        model, n_codes = self._models[t], self._tasks.n_codes[t]
        is_model = hasattr(model, "predict")
        if self._tasks.are_numbers[t]:
            numbers = model.predict(X) if is_model else np.full(X.shape[0], model)
            return np.asarray(numbers, dtype=np.float64)
        p = np.zeros((X.shape[0], n_codes))
        if model is None:
            p[:] = 1 / max(n_codes, 1)
        elif is_model:
            p[:, model.classes_] = model.predict_proba(X)
        else:
            p[:, model] = 1
        return p

    def predict(self, X: Any) -> NDArray:
        """Predict labels and numbers in the form of the network's predictions."""
        by_task = [
            output if is_number else output.argmax(axis=1)
            for output, is_number in zip(
                self._outputs(X), self._tasks.are_numbers, strict=True
            )
        ]
        return decode(by_task, self._tasks)

    @available_if(_has_classes)
    def predict_proba(self, X: Any) -> Any:
        """Predict probabilities in the form of the network's probabilities."""
        outputs, tasks = self._outputs(X), self._tasks
        if tasks.is_1d:
            return outputs[0]
        if all(map(is_binary, tasks.n_codes)):
            return np.column_stack([p[:, 1] for p in outputs])
        return [
            None if is_number else p
            for p, is_number in zip(outputs, tasks.are_numbers, strict=True)
        ]


def _as_floats(X: Any) -> Any:
    """Convert sparse X to the only sparse type that LightGBM reads without warning."""
    if not sparse.issparse(X):
        return X
    return sparse.csr_matrix(X if X.dtype.kind == "f" else X.astype(np.float32))

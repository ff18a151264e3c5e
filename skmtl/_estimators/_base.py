"""What all estimators share: their public methods and scikit-learn's conventions."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from torch import Tensor

from skmtl._estimators._joint_fit import check_alone
from skmtl._estimators._network_state import (
    NetworkState,
    build_from_state,
    network_state,
)
from skmtl._estimators._parameters import (
    check_owners,
    check_unchanged,
    main_tasks_of,
    outputs_of,
)
from skmtl._estimators._parts import LabelsToScore, parts_of
from skmtl._estimators._prediction import predict_tasks, trunk_features
from skmtl._estimators._scales import transformers_of
from skmtl._estimators._scores import mean_of_main_tasks, score_tasks
from skmtl._estimators._trainable import TrainableNet, restored_on_error
from skmtl._estimators._training_set import make_training_set
from skmtl._estimators._transfer import (
    network_for,
    take_linear_parts,
    weights_of_tasks,
)
from skmtl._inputs import check_inputs, warn_of_late_categories, warn_of_row_order
from skmtl._outputs import Gaussian, OutputGroup, most_likely, probabilities_or_moments
from skmtl._sources import is_source
from skmtl._targets import (
    Numbers,
    Tasks,
    check_labelled,
    decode,
    encode_new_tasks,
    finite_in_units,
    warn_of_suspects,
    without_tasks,
)
from skmtl._world import current_world


class BaseMultiTaskNet(ClassNamePrefixFeaturesOutMixin, TransformerMixin, TrainableNet):
    """One network for many tasks; subclasses say which types of tasks are allowed."""

    def _set_parameters(self, given: dict[str, Any]) -> None:
        """Set the parameters of `__init__`, given as its `locals()`."""
        for name in self._get_param_names():
            setattr(self, name, given[name])

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Train the network on the observed labels.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input: numbers, booleans and, in a DataFrame, category columns. NaN,
            None, pd.NA and masked cells are missing values. They are allowed in dense
            input with the "piecewise" encoding (see `input_encoding`). Sparse input is
            never made dense. For more rows than memory holds, pass a
            `pyarrow.dataset.Dataset`, a dask DataFrame, or an array of zarr, HDF5
            (h5py) or dask, which is read block by block.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels, one column per task: classes or numbers. NaN, None, pd.NA,
            pd.NaT and masked cells are missing labels. The classes of a category column
            are all its categories, including those that no row has. If X is a pyarrow
            dataset, the name of its label column, or a list of names; all its other
            columns, except for weights, are features.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label. Rows of weight 0 are left out. The
            weights of missing labels have no effect and can be NaN. If X is a pyarrow
            dataset, the names of its weight columns.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y or a weight cannot be used, if a numeric task has no observed value,
            if the loss diverges, or if `checkpoint_dir` holds the checkpoint of another
            fit or a damaged one, or is used by another fit. The estimator is then
            unchanged.

        Warns
        -----
        ConvergenceWarning
            If the loss or the validation score was still improving after `max_iter`
            epochs at a constant learning rate.
        RuntimeWarning
            If the training was interrupted from the keyboard. The estimator then has
            the weights of the epoch with the best validation score, or the best loss,
            so far. Inside a search, this ends one fit but not the search.
        UserWarning
            If `oob_score=True` and no row can be left out; if out-of-bag predictions of
            a task are not finite in its units; if a task has no observed label, too few
            to hold one out, labels of a single class, or the same number everywhere; or
            if a category column of `y` declares categories that no row has. Also if
            something is allowed but probably a mistake: labels that look like codes for
            missing ones ("NA", "?", or -1 or -99 next to 0 and 1), columns that
            together are the one-hot code of one task, `X` and `y` whose indices have
            the same entries in a different order, and classes that look like
            measurements (more than half of a task's labels are distinct, or it has 30
            or more distinct whole numbers).
        """
        with torch.inference_mode(False), restored_on_error(self):
            continues = self.warm_start and self.__sklearn_is_fitted__()
            is_joint = is_source(X) or current_world() is not None
            fit_rows = self._fit_jointly if is_joint else self._fit_in_memory
            result = fit_rows(X, y, sample_weight, continues)
        self._warn_if_still_improving(result)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def add_tasks(self, X, y_new, sample_weight=None, freeze_trunk=True):
        """Learn further tasks with the fitted trunk, from the same or from other rows.

        The new tasks come after the old ones. As long as the trunk is frozen, nothing
        that the old tasks use changes. With `sharing="none"`, each new task gets its
        own trunk, which starts at random and is trained.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input, with the same columns as in `fit`.
        y_new : array-like of shape (n_samples,) or (n_samples, n_new_tasks)
            Labels of the new tasks, as in `fit`. A DataFrame or a Series names them;
            otherwise their numbers continue those of the old tasks.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_new_tasks), \
                default=None
            Weight of each row, or of each label.
        freeze_trunk : bool, default=True
            Whether the trunk stays fixed. If False, the trunk is trained on the new
            tasks, but the old heads that read it are not: check the scores of the old
            tasks afterwards.

        Returns
        -------
        self : object
            The estimator with all tasks. `loss_curve_` and the other attributes of the
            training remain those of `fit`.

        Raises
        ------
        ValueError
            If X, y_new or a weight cannot be used, if a weight names an unknown task,
            if a new task has the name of an old one, or if parameters of the network
            were changed since `fit`.
        """
        check_is_fitted(self)
        check_alone(X, "add_tasks")
        if not isinstance(freeze_trunk, bool | np.bool):
            raise ValueError(
                f"freeze_trunk must be True or False; got {freeze_trunk!r}."
            )
        with torch.inference_mode(False), restored_on_error(self):
            check_unchanged(self)
            warn_of_row_order(X, y_new=y_new, sample_weight=sample_weight)
            given = X
            X, columns = check_inputs(self, X, self._columns)
            warn_of_late_categories(given, X, columns)
            encoded = encode_new_tasks(y_new, self._tasks, self.task_types)
            check_consistent_length(X, encoded.codes)
            names = encoded.tasks.names
            weights = {
                name: weights_of_tasks(
                    getattr(self, name), name, names, self._tasks.names
                )
                for name in ("task_weight", "class_weight")
            }
            transformer = self.transformer
            if isinstance(transformer, dict):
                old = self._tasks.names.tolist()
                transformer = transformers_of(transformer, encoded.tasks, old)
            training_set = make_training_set(
                X,
                columns,
                encoded,
                self._output_kind,
                learns_scale=True,
                transformer=transformer,
                sample_weight=sample_weight,
                **weights,
            )
            check_labelled(
                training_set.tasks,
                training_set.is_labelled,
                are_guessed=self.task_types == "auto",
            )
            warn_of_suspects(
                training_set.tasks, training_set.counted, training_set.totals
            )
            self._add_to_network(training_set, freeze_trunk)
        return self

    def drop_tasks(self, names):
        """Remove tasks. The others stay as they are, in the same order.

        Parameters
        ----------
        names : str or list of str
            Names of the tasks to remove, see `task_names_`.

        Returns
        -------
        self : object
            The estimator without these tasks.

        Raises
        ------
        ValueError
            If there is no task of that name, if no task would be left, or if parameters
            of the network were changed since `fit`.
        """
        check_is_fitted(self)
        check_unchanged(self)
        tasks, kept = without_tasks(self._tasks, names)
        with torch.inference_mode(False):
            network = network_for(self, outputs_of(self, tasks))
            for task, fitted_task in enumerate(kept):
                network.take_task(task, self.network_, int(fitted_task))
            take_linear_parts(network, self.network_, kept)
        self._set_tasks(tasks, network, self._is_labelled[kept], kept)
        return self

    def _predict(self, X: Any) -> NDArray:
        """The most probable class or the expected number of each task."""
        return decode(self._predict_by_task(X, most_likely), self._tasks)

    def _predict_with_std(self, X: Any) -> tuple[NDArray, NDArray]:
        """Predictions as from `_predict`, and standard deviations, NaN for classes."""
        check_is_fitted(self)
        kinds = self.network_.architecture.outputs
        if not any(isinstance(kind, Gaussian) for kind in kinds):
            raise ValueError(
                "return_std needs a numeric task that was fitted with "
                "loss='gaussian', but there is none. Fit with loss='gaussian'."
            )
        tasks = self._tasks
        if any(getattr(t, "transformer", None) is not None for t in tasks.targets):
            raise ValueError(
                "return_std needs numbers on their original scale, but a task has a "
                "transformer, which changes the scale. Fit with transformer=None."
            )
        outputs = self._predict_by_task(X, probabilities_or_moments)
        by_task, std = [], []
        for target, out in zip(tasks.targets, outputs, strict=True):
            if isinstance(target, Numbers):
                by_task.append(out[:, 0])
                std.append(target.deviation_in_units(out[:, 1], out[:, 2]))
            else:
                by_task.append(out.argmax(axis=1))
                std.append(np.full(len(out), np.nan))
        return decode(by_task, tasks), std[0] if tasks.is_1d else np.column_stack(std)

    def _score(self, X: Any, y: Any, sample_weight: Any) -> float:
        """Mean over the (main) tasks of the accuracy, or the R2 of numbers."""
        check_is_fitted(self)
        tasks = self._tasks
        parts = parts_of(self, X, y, sample_weight, needs_y=True)
        labels = LabelsToScore(tasks, self.task_types, self._is_labelled)

        def checked() -> Iterator[Any]:
            for part in parts:
                warn_of_row_order(part.X, y=part.y, sample_weight=part.sample_weight)
                rows = self._checked_rows(part.X)
                labels.add(part)
                yield rows

        by_task = predict_tasks(
            self.network_, checked(), self._is_labelled, most_likely
        )
        by_task = _scored_in_units(by_task, tasks, labels.weights)
        scores = score_tasks(by_task, labels.encoded, labels.weights)
        main_tasks = main_tasks_of(self, tasks)
        return mean_of_main_tasks(scores, tasks, main_tasks)

    def transform(self, X):
        """Compute the features of the trunk, with all trunks and members side by side.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input; large data can be read block by block, see `fit`.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features_out)
            The last hidden layer of each trunk: that of member 0 for task 0 (or for all
            tasks), then those for the other tasks, then those of the other members.

        Raises
        ------
        ValueError
            If there is no trunk, because `hidden_layer_sizes` is `()`.
        """
        X = self._check_for_prediction(X)
        self._check_trunk()
        return trunk_features(self.network_, X)

    def _check_trunk(self) -> None:
        if not self.network_.has_trunk:
            raise ValueError(
                "transform returns the features of the trunk, but there is no trunk, "
                "since hidden_layer_sizes is (). Fit with at least one hidden layer."
            )

    @property
    def _n_features_out(self) -> int:
        """Read by get_feature_names_out."""
        self._check_trunk()
        return int(self.network_.n_features_out)

    def set_params(self, **params):
        """Set parameters of the estimator, or of objects given as parameters.

        Parameters
        ----------
        **params : object
            New values. `trunk__channels` sets the parameter `channels` of `trunk`.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If there is no such parameter, or if the parameter belongs to an object that
            is not there.
        """
        check_owners(self, params)
        return super().set_params(**params)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        is_encoded = self.input_encoding != "none" and self.trunk is None
        tags.input_tags.sparse = self.trunk is None
        tags.input_tags.allow_nan = is_encoded
        tags.input_tags.categorical = is_encoded
        tags.target_tags.multi_output = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def __getstate__(self):
        state = dict(super().__getstate__())  # a copy: it can be the __dict__ itself
        if "network_" in state:
            network = state["network_"]
            as_arrays = network_state(network, self.trunk)
            if as_arrays is not None:
                state["network_"] = as_arrays
            elif network.like.device.type != "cpu":
                # A machine without this device must be able to read it.
                state["network_"] = copy.deepcopy(network).cpu()
        return state

    def __setstate__(self, state):
        network = state.get("network_")
        if isinstance(network, NetworkState):
            network = build_from_state(network, state["trunk"], state["_columns"])
            state = state | {"network_": network}
        super().__setstate__(state)

    # The prediction ---------------------------------------------------------------

    def _check_for_prediction(self, X: Any) -> Any:
        """X in memory, or the parts of a source one after the other."""
        check_is_fitted(self)
        if not is_source(X):
            return self._checked_rows(X)
        return (self._checked_rows(part.X) for part in parts_of(self, X))

    def _checked_rows(self, X: Any) -> Any:
        return check_inputs(self, X, self._columns)[0]

    def _predict_by_task(
        self, X: Any, function: Callable[[Tensor, OutputGroup], Tensor]
    ) -> list[NDArray]:
        X = self._check_for_prediction(X)
        return predict_tasks(self.network_, X, self._is_labelled, function)


def _scored_in_units(
    by_task: list[NDArray], tasks: Tasks, weights: NDArray
) -> list[NDArray]:
    """Numbers of scored rows in units of their task; outputs of classes as they are."""
    result = list(by_task)
    for t, target in enumerate(tasks.targets):
        if isinstance(target, Numbers):
            rows = weights[:, t] > 0  # other rows need no finite prediction
            result[t] = np.full(len(rows), np.nan)
            result[t][rows] = finite_in_units(by_task[t][rows], target, tasks.names[t])
    return result

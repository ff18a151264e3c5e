"""MultiTaskNetClassifier: checks and attributes of scikit-learn around the loop."""

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from torch import Tensor

from skmtl._classifier._epochs import EpochReports
from skmtl._classifier._training_set import TrainingSet, make_training_set
from skmtl._inputs import check_inputs
from skmtl._layers import ACTIVATIONS
from skmtl._losses import log_probabilities
from skmtl._targets import (
    check_labelled,
    check_same_classes,
    decode_targets,
    encode_targets,
    shorten,
)
from skmtl._training import (
    Epoch,
    Rows,
    TrainingPlan,
    TrainingResult,
    as_tensor,
    iter_chunks,
    thread_limit,
    train,
    work_per_step,
)
from skmtl._weights import check_sample_weight
from skmtl.sharing import HardSharing, NoSharing
from skmtl.sharing._network import Architecture

_SHARING = {"hard": HardSharing, "none": NoSharing}


class MultiTaskNetClassifier(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClassifierMixin,
    BaseEstimator,
):
    """DOC"""

    _parameter_constraints: dict = {  # noqa: RUF012
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "head_hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "sharing": [StrOptions(set(_SHARING)), HasMethods("build")],
        "solver": [StrOptions({"adam", "sgd"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "input_dropout": [Interval(Real, 0, 1, closed="left")],
        "n_members": [Interval(Integral, 1, None, closed="left")],
        "task_weight": [StrOptions({"balanced"}), dict, "array-like", None],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "batch_size": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "learning_rate": [StrOptions({"constant", "cosine"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "shuffle": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        head_hidden_layer_sizes=(),
        activation="relu",
        *,
        sharing="hard",
        solver="adam",
        alpha=0.0001,
        dropout=0.0,
        input_dropout=0.0,
        n_members=1,
        task_weight=None,
        class_weight=None,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        max_iter=200,
        shuffle=True,
        tol=1e-4,
        momentum=0.9,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        warm_start=False,
        device="auto",
        random_state=None,
        verbose=False,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.head_hidden_layer_sizes = head_hidden_layer_sizes
        self.activation = activation
        self.sharing = sharing
        self.solver = solver
        self.alpha = alpha
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.n_members = n_members
        self.task_weight = task_weight
        self.class_weight = class_weight
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.tol = tol
        self.momentum = momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Train the network on the observed labels.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input: numbers without NaN. Sparse input is never made dense.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels, a column per task; NaN, None, pd.NA, pd.NaT and masked cells
            are missing labels.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label. Rows of weight 0 are left out.

        Returns
        -------
        self : MultiTaskNetClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y or a weight cannot be used, or if the loss diverges; the estimator
            is then as it was before the call.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` epochs were run at a constant learning rate and the loss or
            the validation score was still improving.
        RuntimeWarning
            If the fit was interrupted from the keyboard; the estimator then has the
            best weights so far.
        UserWarning
            If a task has no observed label, or too few to hold one out.
        """
        context = self._init_callback_context(max_subtasks=self.max_iter)
        with _restored_on_error(self):
            continues = self.warm_start and self.__sklearn_is_fitted__()
            training_set = self._check_training_set(X, y, sample_weight, continues)
            check_labelled(training_set.tasks, training_set.is_labelled)
            reports = EpochReports(self, context, X, y, sample_weight)
            result = self._fit_network(training_set, reports, continues)
        self._warn_if_still_improving(result)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one epoch on some rows, beginning where the last call ended.

        The solver's state and the random numbers go on from call to call; the learning
        rate is `learning_rate_init` throughout.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input: numbers without NaN.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels, as in `fit`. Rows without any label are legal.
        classes : array-like of shape (n_classes,), list of such, or dict, default=None
            All classes that later calls will bring: for 1-D `y` an array, for 2-D `y`
            an array per task or a mapping from task name to array. Used at the first
            call; without it, the classes are those of the first `y`.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label.

        Returns
        -------
        self : MultiTaskNetClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or y cannot be used, if y has a label that is not among the classes,
            with `early_stopping=True`, or with "balanced" weights, which need all
            labels at once.
        """
        self._check_partial_fit_parameters()
        with _restored_on_error(self):
            training_set = self._check_training_set(
                X, y, sample_weight, self.__sklearn_is_fitted__(), classes
            )
            self._partial_fit_network(training_set)
        return self

    def predict(self, X):
        """Predict the most probable label of each task.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Labels in their own dtype, 1-D where `fit` got a 1-D `y`.
        """
        return decode_targets(self._predict_codes(X), self._tasks)

    def predict_proba(self, X):
        """Probabilities of the classes of each task, averaged over the members.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input.

        Returns
        -------
        p : ndarray or list of ndarray
            For 1-D `y`, (n_samples, n_classes). Else, where every task has two classes,
            (n_samples, n_tasks) with column j the probability of `classes_[j][1]`. Else
            a list with an array (n_samples, n_classes) per task, as forests give it.
        """
        return self._predict_proba(X, torch.exp)

    def predict_log_proba(self, X):
        """Logarithms of what `predict_proba` gives.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input.

        Returns
        -------
        log_p : ndarray or list of ndarray
            In the form of `predict_proba`.
        """
        return self._predict_proba(X, lambda log_p: log_p)

    def score(self, X, y, sample_weight=None):
        """Mean over the tasks of the accuracy on the observed labels.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The true labels, NaN where missing. A class that was not seen in `fit`
            counts as an error of the prediction.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label.

        Returns
        -------
        score : float
            For 1-D `y`, the ordinary accuracy of the rows that have a label.

        Raises
        ------
        ValueError
            If y has no observed label.

        Warns
        -----
        UndefinedMetricWarning
            If a task has no label in `y`; it is left out of the mean.
        """
        predicted = self._predict_codes(X)
        tasks, codes = encode_targets(y, tasks=self._tasks, unseen="extra")
        check_consistent_length(X, codes)
        weights = (codes >= 0).astype(np.float64)
        sample_weight = check_sample_weight(sample_weight, codes)
        if sample_weight is not None:
            weights *= sample_weight
        totals = weights.sum(axis=0)
        if not totals.any():
            raise ValueError(
                "y must have an observed label to score, but all are missing or of "
                "weight 0. Pass rows with labels."
            )
        without = tasks.names[totals == 0]
        if len(without):
            warnings.warn(
                f"The accuracy is undefined for {len(without)} of {tasks.n_tasks} "
                f"tasks, which have no observed label in y: {shorten(without)}. They "
                "are left out of the mean.",
                UndefinedMetricWarning,
                stacklevel=2,
            )
        correct = (weights * (predicted == codes)).sum(axis=0)
        return float((correct[totals > 0] / totals[totals > 0]).mean())

    def transform(self, X):
        """Features that the trunk computes, of several trunks or members side by side.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features_out)
            The last hidden layer of the trunk of member 0 for task 0 (or for all
            tasks), then those of the other tasks, then those of the other members.

        Raises
        ------
        ValueError
            If `hidden_layer_sizes` is `()`: there is no trunk.
        """
        X = self._check_for_prediction(X)
        features = np.empty((X.shape[0], self._n_features_out), dtype=np.float32)
        for chunk, encoded in self._forward(X, self.network_.encode):
            features[chunk] = encoded.transpose(0, 1).flatten(1).cpu().numpy()
        return features

    @property
    def _n_features_out(self) -> int:
        if not self.network_.has_trunk:
            raise ValueError(
                "transform gives the features of the trunk, but hidden_layer_sizes is "
                "(): there is no trunk. Fit with at least one hidden layer."
            )
        return int(self.network_.trunk.layers[-1].bias.numel())

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        tags.classifier_tags.multi_label = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def __getstate__(self):
        state = super().__getstate__()
        if "network_" in state and _device_of(state["network_"]).type != "cpu":
            # So that it can be read on a machine without this device.
            state["network_"] = copy.deepcopy(state["network_"]).cpu()
            if "_solver_state" in state:
                state["_solver_state"] = _to_cpu(state["_solver_state"])
        return state

    # Before the training ----------------------------------------------------------

    def _check_partial_fit_parameters(self) -> None:
        if self.early_stopping:
            raise ValueError(
                "partial_fit has no rows to hold out, but early_stopping is True. Set "
                "early_stopping=False, or use fit."
            )
        weights = {
            "task_weight": [self.task_weight],
            "class_weight": [self.class_weight],
        }
        if isinstance(self.class_weight, dict):
            weights["class_weight"] += self.class_weight.values()
        for name, given in weights.items():
            if any(isinstance(weight, str) for weight in given):
                raise ValueError(
                    f"partial_fit needs weights that do not depend on all labels, but "
                    f"{name} is 'balanced'. Pass the weights themselves, for instance "
                    "computed with sklearn.utils.compute_class_weight."
                )

    def _check_training_set(
        self, X: Any, y: Any, sample_weight: Any, continues: bool, classes: Any = None
    ) -> TrainingSet:
        """All checks of what is learned from, before any training."""
        X = check_inputs(self, X, reset=not continues)
        if continues:
            tasks, codes = encode_targets(y, tasks=self._tasks)
            if classes is not None:
                check_same_classes(classes, tasks)
        else:
            tasks, codes = encode_targets(y, classes=classes)
        check_consistent_length(X, codes)
        return make_training_set(
            X,
            codes,
            tasks,
            sample_weight=sample_weight,
            task_weight=self.task_weight,
            class_weight=self.class_weight,
        )

    def _architecture(self, training_set: TrainingSet) -> Architecture:
        return Architecture(
            n_features=self.n_features_in_,
            n_classes=tuple(training_set.tasks.n_classes.tolist()),
            hidden_layer_sizes=_layer_sizes(self, "hidden_layer_sizes"),
            head_hidden_layer_sizes=_layer_sizes(self, "head_hidden_layer_sizes"),
            activation=self.activation,
            dropout=self.dropout,
            input_dropout=self.input_dropout,
            n_members=self.n_members,
        )

    def _build_network(
        self, training_set: TrainingSet, generator: torch.Generator, continues: bool
    ) -> torch.nn.Module:
        """A new network, or a copy of the fitted one to go on with."""
        device = _check_device(self.device)
        architecture = self._architecture(training_set)
        if not continues:
            sharing = self.sharing
            spec = _SHARING[sharing]() if isinstance(sharing, str) else sharing
            return spec.build(architecture, generator).to(device)
        if architecture != self.network_.architecture:
            raise ValueError(
                "To go on training, the network must keep its sizes, "
                f"{self.network_.architecture}; the parameters now ask for "
                f"{architecture}. Set them back, or begin anew with a clone."
            )
        return copy.deepcopy(self.network_).to(device)

    def _plan(self, n_samples: int) -> TrainingPlan:
        batch_size = 200 if self.batch_size == "auto" else self.batch_size
        return TrainingPlan(
            solver=self.solver,
            alpha=self.alpha,
            batch_size=max(1, min(batch_size, n_samples)),
            learning_rate=self.learning_rate,
            learning_rate_init=self.learning_rate_init,
            max_iter=self.max_iter,
            shuffle=self.shuffle,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            momentum=self.momentum,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
        )

    # The training -----------------------------------------------------------------

    def _fit_network(
        self, training_set: TrainingSet, reports: EpochReports, continues: bool
    ) -> TrainingResult:
        rng = check_random_state(self.random_state)
        generator = torch.Generator().manual_seed(int(rng.randint(2**31 - 1)))
        network = self._build_network(training_set, generator, continues)
        if self.early_stopping:
            index, held_out = training_set.hold_out(self.validation_fraction, rng)
        else:
            index, held_out = training_set.rows(), None

        def fitted_attributes() -> dict:
            # A callback may keep what it is given, and the training goes on.
            return self._fitted_attributes(
                training_set, copy.deepcopy(network), continues
            )

        result = train(
            network,
            training_set.data,
            as_tensor(index),
            self._plan(len(index)),
            generator,
            held_out=None if held_out is None else as_tensor(held_out),
            on_epoch_begin=reports.begin,
            on_epoch_end=lambda epoch: reports.end(epoch, fitted_attributes),
        )
        self._set_fitted(training_set, network, result.epochs, continues)
        self.__dict__.pop("_solver_state", None)
        reports.finish(fitted_attributes)
        return result

    def _partial_fit_network(self, training_set: TrainingSet) -> None:
        continues = self.__sklearn_is_fitted__()
        generator = torch.Generator()
        state = getattr(self, "_solver_state", {"optimizer": None})
        if "generator" in state:
            generator.set_state(state["generator"])
        else:
            rng = check_random_state(self.random_state)
            generator.manual_seed(int(rng.randint(2**31 - 1)))
        network = self._build_network(training_set, generator, continues)
        index = training_set.rows()
        plan = replace(
            self._plan(len(index)),
            max_iter=1 if len(index) else 0,
            learning_rate="constant",
        )
        result = train(
            network,
            training_set.data,
            as_tensor(index),
            plan,
            generator,
            optimizer_state=state["optimizer"],
        )
        self._set_fitted(training_set, network, result.epochs, continues)
        self._solver_state = {
            "optimizer": result.optimizer_state,
            "generator": generator.get_state(),
        }

    def _set_fitted(
        self,
        training_set: TrainingSet,
        network: torch.nn.Module,
        epochs: list[Epoch],
        continues: bool,
    ) -> None:
        losses = [epoch.loss for epoch in epochs]
        scores = [epoch.validation_score for epoch in epochs]
        self.__dict__.update(self._fitted_attributes(training_set, network, continues))
        self.loss_curve_ = [*(self.loss_curve_ if continues else []), *losses]
        self.n_iter_ = len(self.loss_curve_)
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else np.inf
        if self.early_stopping:
            earlier = getattr(self, "validation_scores_", None) if continues else None
            self.validation_scores_ = [*(earlier or []), *scores]
            self.best_validation_score_ = max(self.validation_scores_, default=-np.inf)
            self.best_loss_ = None
        else:
            self.validation_scores_ = None
            self.best_validation_score_ = None
            self.best_loss_ = min(self.loss_curve_, default=np.inf)

    def _fitted_attributes(
        self, training_set: TrainingSet, network: torch.nn.Module, continues: bool
    ) -> dict[str, Any]:
        """What a prediction needs."""
        tasks = training_set.tasks
        is_labelled = training_set.is_labelled
        if continues:
            is_labelled = is_labelled | self._is_labelled
        return {
            "_tasks": tasks,
            "_is_labelled": is_labelled,
            "task_names_": tasks.names,
            "classes_": tasks.classes[0] if tasks.is_1d else tasks.classes,
            "n_outputs_": tasks.n_tasks,
            "network_": network,
        }

    def _warn_if_still_improving(self, result: TrainingResult) -> None:
        if (
            result.stopped_by == "max_iter"
            and self.learning_rate == "constant"
            and self.max_iter > 0
        ):
            warnings.warn(
                f"Maximum number of epochs ({self.max_iter}) reached and the "
                "optimization hasn't converged yet. Raise max_iter, or use "
                "learning_rate='cosine', which is made for a fixed number of epochs.",
                ConvergenceWarning,
                stacklevel=4,  # the caller of fit, past scikit-learn's wrapper
            )

    # The prediction ---------------------------------------------------------------

    def _check_for_prediction(self, X: Any) -> Any:
        check_is_fitted(self)
        return check_inputs(self, X, reset=False)

    def _forward(
        self, X: Any, function: Callable[[Any], Tensor]
    ) -> Iterator[tuple[slice, Tensor]]:
        """What `function` of the network gives for the rows, chunk by chunk."""
        network = self.network_
        rows = Rows(as_tensor(X) if isinstance(X, np.ndarray) else X)
        like = next(network.parameters())
        chunks = list(iter_chunks(network, len(rows)))
        work = work_per_step(network, chunks[0].stop)
        with torch.inference_mode(), thread_limit(work):
            for chunk in chunks:
                yield chunk, function(rows.read(chunk, like))

    def _predict_groups(
        self, X: Any, select: Callable[[Tensor], Tensor]
    ) -> list[NDArray]:
        """What `select` takes of the log probabilities, per group of tasks.

        `select` maps (batch, tasks of the group, n_classes) to (batch, ...).
        """
        X = self._check_for_prediction(X)
        groups = self.network_.groups
        parts: list[list[NDArray]] = [[] for _ in groups]
        for _, logits in self._forward(X, self.network_):
            for group, part in zip(groups, parts, strict=True):
                log_p = log_probabilities(logits, group)
                unlabelled = ~self._is_labelled[list(group.tasks)]
                log_p[:, torch.from_numpy(unlabelled)] = -np.log(group.n_classes)
                part.append(select(log_p).cpu().numpy())
        return [np.concatenate(part) for part in parts]

    def _predict_codes(self, X: Any) -> NDArray:
        by_group = self._predict_groups(X, lambda log_p: log_p.argmax(-1))
        codes = np.empty((len(by_group[0]), self.n_outputs_), dtype=np.intp)
        for group, part in zip(self.network_.groups, by_group, strict=True):
            codes[:, group.tasks] = part
        return codes

    def _predict_proba(
        self, X: Any, function: Callable[[Tensor], Tensor]
    ) -> NDArray | list[NDArray]:
        check_is_fitted(self)
        tasks = self._tasks
        if not tasks.is_1d and (tasks.n_classes == 2).all():
            return self._predict_groups(X, lambda log_p: function(log_p[..., 1]))[0]
        by_group = self._predict_groups(X, function)
        by_task: dict[int, NDArray] = {}
        for group, part in zip(self.network_.groups, by_group, strict=True):
            by_task |= {task: part[:, i] for i, task in enumerate(group.tasks)}
        if tasks.is_1d:
            return by_task[0]
        return [by_task[task] for task in range(tasks.n_tasks)]


@contextlib.contextmanager
def _restored_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Put the attributes back where something fails: no half-trained state."""
    attributes = dict(estimator.__dict__)
    try:
        yield
    except BaseException:
        estimator.__dict__.clear()
        estimator.__dict__.update(attributes)
        raise


def _layer_sizes(estimator: BaseEstimator, parameter: str) -> tuple[int, ...]:
    sizes = getattr(estimator, parameter)
    listed = (sizes,) if isinstance(sizes, Integral) else tuple(sizes)
    if not all(isinstance(size, Integral) and size > 0 for size in listed):
        raise ValueError(
            f"{parameter} must be a list of layer sizes, integers of at least 1; got "
            f"{sizes!r}. Use () for no layer."
        )
    return tuple(int(size) for size in listed)


def _check_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise ValueError(
            "device must be 'auto', 'cpu', 'cuda' or a numbered one such as 'cuda:1'; "
            f"got {device!r}."
        )
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={device!r} is not there: torch sees {torch.cuda.device_count()} "
            "CUDA device(s). Use device='auto'."
        )
    return torch.device(device)


def _device_of(network: torch.nn.Module) -> torch.device:
    return next(network.parameters()).device


def _to_cpu(state: Any) -> Any:
    """The solver's state, nested dicts and lists of tensors, on the CPU."""
    if isinstance(state, Tensor):
        return state.cpu()
    if isinstance(state, dict):
        return {key: _to_cpu(value) for key, value in state.items()}
    return [_to_cpu(value) for value in state] if isinstance(state, list) else state

"""What the estimators have in common: checks and attributes of scikit-learn."""

import contextlib
import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from torch import Tensor

from skmtl._estimators._checkpoint import checkpoint_of
from skmtl._estimators._chunks import Calls
from skmtl._estimators._epochs import EpochReports
from skmtl._estimators._fitting import Training, prepare, seeded_generator
from skmtl._estimators._joint_fit import (
    check_alone,
    check_joint_parameters,
    joint_checkpoint,
    prepare_jointly,
)
from skmtl._estimators._joint_learning import Known, learn_from
from skmtl._estimators._network_state import (
    NetworkState,
    build_from_state,
    network_state,
)
from skmtl._estimators._out_of_bag import predict_out_of_bag
from skmtl._estimators._parameters import (
    check_owners,
    check_partial_fit_parameters,
    check_unchanged,
    leaves_out_rows,
    main_tasks_of,
    outputs_of,
)
from skmtl._estimators._parts import LabelsToScore, parts_of
from skmtl._estimators._prediction import predict_tasks, trunk_features
from skmtl._estimators._scales import check_same_transformers, transformers_of
from skmtl._estimators._scores import mean_of_main_tasks, score_tasks
from skmtl._estimators._training_set import (
    AnyTrainingSet,
    TrainingSet,
    make_training_set,
)
from skmtl._estimators._transfer import (
    network_for,
    pretrained_estimator,
    take_columns,
    weights_of_tasks,
)
from skmtl._inputs import (
    InputColumns,
    check_inputs,
    declare_columns,
    warn_of_late_categories,
    warn_of_late_numbers,
    warn_of_row_order,
)
from skmtl._interrupts import catches_interrupts
from skmtl._messages import warn
from skmtl._network import TrunkAndHeads
from skmtl._outputs import (
    NUMBER_KINDS,
    Gaussian,
    OutputGroup,
    OutputKind,
    kind_of_classes,
    most_likely,
    probabilities_or_moments,
)
from skmtl._rows import as_tensor
from skmtl._sources import is_source
from skmtl._targets import (
    Classes,
    Encoded,
    Numbers,
    Tasks,
    TaskTypes,
    check_labelled,
    check_same_classes,
    decode,
    encode,
    encode_new_tasks,
    joined_tasks,
    named_tasks,
    warn_of_measurements,
    warn_of_suspects,
    without_tasks,
)
from skmtl._training import (
    Epoch,
    RowsInMemory,
    TrainingResult,
    TrainingState,
    best_validation_score,
    mean_score,
    train,
)
from skmtl._world import current_world


class BaseMultiTaskNet(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """One network for many tasks; subclasses say what the tasks may be."""

    # Parameters that not every estimator has.
    task_types: TaskTypes = "class"
    class_weight: Any = None
    loss: str = "squared_error"
    transformer: Any = None

    def _set_parameters(self, given: dict[str, Any]) -> None:
        """Set the parameters of `__init__`, which are its `locals()`."""
        for name in self._get_param_names():
            setattr(self, name, given[name])

    def _output_kind(self, target: Classes | Numbers) -> OutputKind:
        if isinstance(target, Classes):
            return kind_of_classes(target.n_codes)
        return NUMBER_KINDS[self.loss]

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Train the network on the observed labels.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input: numbers, booleans and, in a DataFrame, category columns. NaN,
            None, pd.NA and masked cells are missing values, legal in dense input that
            is encoded (see `input_encoding`). Sparse input is never made dense.
            More rows than memory holds: a `pyarrow.dataset.Dataset`, a dask DataFrame,
            or an array of zarr, HDF5 (h5py) or dask, which is read block by block.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels, a column per task: classes or numbers. NaN, None, pd.NA, pd.NaT
            and masked cells are missing labels. The categories of a category column
            are its classes, also those without a row.
            If X is a pyarrow dataset, the name of its label column, or a list of names;
            its other columns, but for weights, are the features.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label. Rows of weight 0 are left out. If X is
            a pyarrow dataset, names of columns too.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y or a weight cannot be used, if a task of numbers has no observed
            value, if the loss diverges, or if
            `checkpoint_dir` has the checkpoint of another fit or a damaged one, or
            another fit is at work in it; the estimator is then as it was before the
            call.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` epochs were run at a constant learning rate and the loss or
            the validation score was still improving.
        RuntimeWarning
            If the training was interrupted from the keyboard; the estimator then has
            the weights of the best epoch so far, by its validation score or else its
            loss. Inside a search this ends one fit and not the search.
        UserWarning
            If no row can be left out with `oob_score=True`; if a task has no observed
            label, or too few to hold one out, or labels of one class only, or a single
            number as its only value; if a category column of `y` declares categories
            without a row; and if something is legal but hardly ever meant: labels that
            look like marks for missing ones ("NA", "?", or -1 or -99 beside 0 and 1),
            columns that are the one-hot code of one question, `X` and `y` with the same
            index in another order, and classes that look like measurements (more than
            half of a task's labels are different, or there are 30 or more whole
            numbers).
        """
        with torch.inference_mode(False), _restored_on_error(self):
            continues = self.warm_start and self.__sklearn_is_fitted__()
            is_joint = is_source(X) or current_world() is not None
            fit_rows = self._fit_jointly if is_joint else self._fit_in_memory
            result = fit_rows(X, y, sample_weight, continues)
        self._warn_if_still_improving(result)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def add_tasks(self, X, y_new, sample_weight=None, freeze_trunk=True):
        """Learn further tasks, of the same or of other rows, with the trunk there is.

        The new tasks come after the old ones. While the trunk is frozen nothing that
        the old tasks use is touched. Without sharing, the new tasks get trunks of their
        own, which begin at random and are trained.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input, with the columns of `fit`.
        y_new : array-like of shape (n_samples,) or (n_samples, n_new_tasks)
            Labels of the new tasks, as in `fit`. A DataFrame or a Series names them,
            else they are numbered on.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_new_tasks), \
                default=None
            Weight of each row, or of each label.
        freeze_trunk : bool, default=True
            Whether the trunk stays as it is. If it may move, the old heads, which read
            it, stay: how well the old tasks do then must be seen.

        Returns
        -------
        self : object
            The estimator with all tasks. `loss_curve_` and what belongs to it remain
            those of `fit`.

        Raises
        ------
        ValueError
            If X, y_new or a weight cannot be used, if a weight is for the name of no
            task, if a new task has the name of an old one, or if parameters of the
            network were changed since `fit`.
        """
        check_is_fitted(self)
        check_alone(X, "add_tasks")
        if not isinstance(freeze_trunk, bool | np.bool):
            raise ValueError(
                f"freeze_trunk must be True or False; got {freeze_trunk!r}."
            )
        with torch.inference_mode(False), _restored_on_error(self):
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
            check_labelled(training_set.tasks, training_set.is_labelled)
            warn_of_suspects(
                training_set.tasks, training_set.counted, training_set.totals
            )
            self._add_to_network(training_set, freeze_trunk)
        return self

    def drop_tasks(self, names):
        """Forget tasks; the others stay as they are, in the same order.

        Parameters
        ----------
        names : str or list of str
            Names of tasks, see `task_names_`.

        Returns
        -------
        self : object
            The estimator without these tasks.

        Raises
        ------
        ValueError
            If there is no task of such a name, if none would be left, or if parameters
            that make the network are others than in `fit`.
        """
        check_is_fitted(self)
        check_unchanged(self)
        tasks, kept = without_tasks(self._tasks, names)
        network = network_for(self, outputs_of(self, tasks))
        for task, fitted_task in enumerate(kept):
            network.take_task(task, self.network_, int(fitted_task))
        self._set_tasks(tasks, network, self._is_labelled[kept], kept)
        return self

    def _predict(self, X: Any) -> NDArray:
        """The most probable label, or the expected number, of each task."""
        return decode(self._predict_by_task(X, most_likely), self._tasks)

    def _predict_with_std(self, X: Any) -> tuple[NDArray, NDArray]:
        """What `_predict` gives, and standard deviations, NaN for classes."""
        check_is_fitted(self)
        kinds = self.network_.architecture.outputs
        if not any(isinstance(kind, Gaussian) for kind in kinds):
            raise ValueError(
                "return_std needs a task of numbers that was fitted with "
                "loss='gaussian', but there is none. Fit with loss='gaussian'."
            )
        tasks = self._tasks
        if any(getattr(t, "transformer", None) is not None for t in tasks.targets):
            raise ValueError(
                "return_std needs numbers on their own scale, but a task has a "
                "transformer, which changes it. Fit with transformer=None."
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
                rows = check_inputs(self, part.X, self._columns)[0]
                labels.add(part)
                yield rows

        by_task = predict_tasks(
            self.network_, checked(), self._is_labelled, most_likely
        )
        by_task = _in_units(by_task, tasks)
        scores = score_tasks(by_task, labels.encoded, labels.weights)
        main_tasks = main_tasks_of(self, tasks)
        return mean_of_main_tasks(scores, tasks, main_tasks)

    def transform(self, X):
        """Features that the trunk computes, of several trunks or members side by side.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input; large data may be read block by block, see `fit`.

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
        self._check_trunk()
        return trunk_features(self.network_, X)

    def _check_trunk(self) -> None:
        if not self.network_.has_trunk:
            raise ValueError(
                "transform gives the features of the trunk, but hidden_layer_sizes is "
                "(): there is no trunk. Fit with at least one hidden layer."
            )

    @property
    def _n_features_out(self) -> int:
        """Read by get_feature_names_out."""
        self._check_trunk()
        return int(self.network_.n_features_out)

    def set_params(self, **params):
        """Set parameters, also those of objects given as parameters.

        Parameters
        ----------
        **params : object
            New values; `trunk__channels` is the parameter `channels` of `trunk`.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If there is no such parameter, or if one of an object is to be set where
            there is no object.
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
        state = dict(super().__getstate__())  # it may be the __dict__ itself
        if "network_" in state:
            network = state["network_"]
            as_arrays = network_state(network, self.trunk)
            if as_arrays is not None:
                state["network_"] = as_arrays
            elif network.like.device.type != "cpu":
                # So that it can be read on a machine without this device.
                state["network_"] = copy.deepcopy(network).cpu()
        return state

    def __setstate__(self, state):
        network = state.get("network_")
        if isinstance(network, NetworkState):
            network = build_from_state(network, state["trunk"], state["_columns"])
            state = state | {"network_": network}
        super().__setstate__(state)

    # Before the training ----------------------------------------------------------

    def _check_training_set(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        continues: bool,
        classes: Any = None,
        declare: Callable[..., InputColumns] | None = None,
    ) -> TrainingSet:
        """All checks of what is learned from, before any training."""
        columns = self._columns if continues else None
        pretrained = None if continues else pretrained_estimator(self)
        if pretrained is not None:
            take_columns(self, pretrained)
            columns = pretrained._columns
        warn_of_row_order(X, y=y, sample_weight=sample_weight)
        if declare is not None:
            declare = partial(declare, is_first=columns is None)
        given = X
        X, columns = check_inputs(self, X, columns, declare)
        warn_of_late_categories(given, X, columns)
        if continues:
            check_same_transformers(self.transformer, self._tasks)
            encoded = encode(y, self.task_types, tasks=self._tasks)
            if classes is not None:
                check_same_classes(classes, self._tasks)
        else:
            encoded = encode(y, self.task_types, classes=classes)
            if classes is None:
                n_labels = (encoded.codes >= 0).sum(axis=0)
                warn_of_measurements(encoded.tasks, n_labels)
        check_consistent_length(X, encoded.codes)
        main_tasks_of(self, encoded.tasks)  # that they are tasks
        return make_training_set(
            X,
            columns,
            encoded,
            self._output_kind,
            learns_scale=not continues,
            transformer=self.transformer,
            sample_weight=sample_weight,
            task_weight=self.task_weight,
            class_weight=self.class_weight,
        )

    # The training -----------------------------------------------------------------

    def _fit_in_memory(
        self, X: Any, y: Any, sample_weight: Any, continues: bool
    ) -> TrainingResult:
        training_set = self._check_training_set(X, y, sample_weight, continues)
        self._check_labels(training_set, continues)
        rng = check_random_state(self.random_state)
        with checkpoint_of(self, rng) as checkpoint:
            rng = rng if checkpoint is None else checkpoint.rng
            generator = seeded_generator(rng)
            main_tasks = main_tasks_of(self, training_set.tasks)
            index, held_out, data, network, plan = prepare(
                self,
                training_set,
                rng,
                generator,
                continues=continues,
                main_tasks=main_tasks,
            )
            left_out_by = None
            if not continues and leaves_out_rows(self, data, network.n_members):
                left_out_by = training_set.leave_out(index, network.n_members, rng)
                if (left_out_by < 0).all():
                    self._warn_if_asked_to_leave_out(network.n_members)
                    left_out_by = None
            rows = RowsInMemory(
                training_set.data,
                as_tensor(index),
                held_out,
                None if left_out_by is None else as_tensor(left_out_by),
            )
            training = Training(
                training_set, rows, network, plan, generator, checkpoint
            )
            set_out_of_bag = None
            if left_out_by is not None:
                set_out_of_bag = partial(
                    self._set_out_of_bag, training_set, index, left_out_by, main_tasks
                )
            report = self._reports(X, y, sample_weight)
            return self._train(training, report, continues, set_out_of_bag)

    def _fit_jointly(
        self, X: Any, y: Any, sample_weight: Any, continues: bool
    ) -> TrainingResult:
        """On rows that are read in blocks, or that several processes have."""
        world = current_world()
        check_joint_parameters(self)
        rng = check_random_state(self.random_state)
        with joint_checkpoint(self, rng, world) as checkpoint:
            rng = rng if checkpoint is None else checkpoint.rng
            generator = seeded_generator(rng)
            known = self._known_before(continues)
            training_set = learn_from(self, X, y, sample_weight, known, rng, world)
            self._check_labels(training_set, continues)
            training = prepare_jointly(
                self, training_set, generator, world, checkpoint, continues=continues
            )
            report = self._reports(
                X, y, sample_weight, is_quiet=world is not None and world.rank > 0
            )
            return self._train(training, report, continues)

    def _known_before(self, continues: bool) -> Known:
        """What an earlier fit, of this or of the pretrained estimator, has learned."""
        if continues:
            return Known(self._columns, self._tasks)
        pretrained = pretrained_estimator(self)
        if pretrained is None:
            return Known(None, None)
        take_columns(self, pretrained)
        return Known(pretrained._columns, None)

    def _check_labels(self, training_set: AnyTrainingSet, continues: bool) -> None:
        labelled = training_set.is_labelled  # without any, nothing is trained
        if labelled.any():
            labelled = self._labelled_so_far(training_set, continues)
        check_labelled(training_set.tasks, labelled)
        if not continues:
            warn_of_suspects(
                training_set.tasks, training_set.counted, training_set.totals
            )

    def _reports(
        self, X: Any, y: Any, sample_weight: Any, *, is_quiet: bool = False
    ) -> Callable[[int], EpochReports]:
        def report(n_epochs: int) -> EpochReports:
            context = self._init_callback_context(max_subtasks=n_epochs)
            return EpochReports(
                self, context, n_epochs, X, y, sample_weight, is_quiet=is_quiet
            )

        return report

    def _train(
        self,
        training: Training,
        report: Callable[[int], EpochReports],
        continues: bool,
        set_out_of_bag: Callable[[], None] | None = None,
    ) -> TrainingResult:
        training_set, rows, network, plan, generator, checkpoint, world = training
        reports = report(plan.max_iter)

        def resume() -> TrainingState | None:
            if checkpoint is None:
                return None
            digest = training_set.digest()
            return checkpoint.resume(digest, network, plan, rows, world)

        if world is None:
            resumed = resume()
        else:
            resumed = world.gather(world.agree_on_first(resume))[0]

        def fitted_attributes() -> dict:
            # A callback may keep what it is given, and the training goes on.
            return self._fitted_attributes(
                training_set, copy.deepcopy(network), continues
            )

        def end_epoch(epoch: Epoch, update: Callable[[], None]) -> bool:
            def up_to_date() -> dict:
                update()
                return fitted_attributes()

            return reports.end(epoch, up_to_date)

        result = train(
            network,
            rows,
            plan,
            generator,
            world=world,
            resumed=resumed,
            # One process that goes on without the others would wait for them.
            catches_interrupt=catches_interrupts() and world is None,
            on_epoch_begin=reports.begin,
            on_epoch_end=end_epoch,
            on_state=None if checkpoint is None else checkpoint.write,
        )
        self._set_fitted(training_set, network, result.epochs, continues)
        self._forget_training()
        if set_out_of_bag is not None:
            set_out_of_bag()
        reports.finish(fitted_attributes)
        return result

    def _warn_if_asked_to_leave_out(self, n_members: int) -> None:
        if self.oob_score != "auto":
            warn(
                "oob_score=True needs rows whose labels are all of classes with at "
                f"least as many labels as members, {n_members}, but there is none: no "
                "row is left out, and there is no oob_score_. Use fewer members."
            )

    def _partial_fit(
        self,
        X: Any,
        y: Any,
        classes: Any,
        sample_weight: Any,
        columns: Any,
        n_calls: Any,
        n_rows: Any,
    ) -> None:
        check_alone(X, "partial_fit")
        check_partial_fit_parameters(self)
        with torch.inference_mode(False), _restored_on_error(self):
            calls = getattr(self, "_calls", Calls()).next(n_calls, n_rows)
            continues = self.__sklearn_is_fitted__()
            declare = partial(declare_columns, columns)
            training_set = self._check_training_set(
                X, y, sample_weight, continues, classes, declare
            )
            self._check_first_call(training_set, continues)
            self._partial_fit_network(training_set, continues, calls)

    def _check_first_call(self, training_set: TrainingSet, continues: bool) -> None:
        """The scale of numbers is learned there."""
        are_numbers = training_set.tasks.are_numbers
        if not continues and (are_numbers & ~training_set.is_labelled).any():
            check_labelled(training_set.tasks, training_set.is_labelled | ~are_numbers)

    def _partial_fit_network(
        self, training_set: TrainingSet, continues: bool, calls: Calls
    ) -> None:
        state = getattr(self, "_solver_state", None)
        rng = check_random_state(self.random_state)
        if state is None:
            generator = seeded_generator(rng)
        else:
            generator = torch.Generator()
            generator.set_state(as_tensor(state.generator))
        index, _, data, network, plan = prepare(
            self, training_set, rng, generator, continues=continues, calls=calls
        )
        encoding = network.architecture.encoding
        if encoding is not None:
            warn_of_late_numbers(
                training_set.X,
                encoding.numeric,
                training_set.columns,
                getattr(self, "feature_names_in_", None),
            )
        result = train(
            network,
            RowsInMemory(training_set.data, as_tensor(index)),
            calls.plan(plan, len(index)),
            generator,
            solver_state=state,
            in_one_pass=True,
            catches_interrupt=False,  # it shall end the loop around the calls
        )
        self._set_fitted(training_set, network, result.epochs, continues)
        self._forget_training()
        self._solver_state = result.solver_state
        loss = result.epochs[-1].loss if result.epochs else None
        self._calls = calls.after(data, loss)

    def _add_to_network(self, training_set: TrainingSet, freeze_trunk: bool) -> None:
        fitted, new = self.network_, training_set.tasks
        tasks = joined_tasks(self._tasks, new)
        joined = network_for(self, outputs_of(self, tasks))
        rng = check_random_state(self.random_state)
        generator = seeded_generator(rng)
        is_frozen = joined.n_trunks == 1 and freeze_trunk and joined.has_trunk
        index, held_out, _, network, plan = prepare(
            self,
            training_set,
            rng,
            generator,
            fitted=fitted,
            freeze="trunk" if is_frozen else "none",
            main_tasks=self._main_tasks_among(new, tasks),
        )
        train(
            network,
            RowsInMemory(training_set.data, as_tensor(index), held_out),
            plan,
            generator,
        )
        sources = [(fitted, task) for task in range(self._tasks.n_tasks)]
        sources += [(network, task) for task in range(new.n_tasks)]
        for task, (source, source_task) in enumerate(sources):
            joined.take_task(task, source, source_task)
        is_labelled = np.concatenate([self._is_labelled, training_set.is_labelled])
        fitted_tasks = np.r_[: self._tasks.n_tasks, np.full(new.n_tasks, -1)]
        self._set_tasks(tasks, joined, is_labelled, fitted_tasks)

    def _main_tasks_among(self, new: Tasks, tasks: Tasks) -> tuple[int, ...] | None:
        """Those of the new tasks that count; None, for all, if none of them does."""
        if self.main_tasks is None:
            return None
        is_main = named_tasks(tasks, self.main_tasks, "main_tasks")[-new.n_tasks :]
        return tuple(np.flatnonzero(is_main).tolist()) or None

    def _set_tasks(
        self,
        tasks: Tasks,
        network: TrunkAndHeads,
        is_labelled: NDArray,
        fitted_tasks: NDArray,
    ) -> None:
        """`fitted_tasks` are their positions before, -1 for new ones."""
        attributes = self._attributes_of(tasks, network, is_labelled)
        # An estimator that a callback has kept has no scores yet.
        scores: Any = getattr(self, "task_validation_scores_", None)
        if scores is not None:
            by_task = np.where(fitted_tasks < 0, np.nan, scores[:, fitted_tasks])
            attributes["task_validation_scores_"] = by_task
        self.__dict__.update(attributes)
        self._forget_training()

    def _forget_training(self) -> None:
        """What belongs to another network, or to other rows."""
        for name in ("_solver_state", "_calls", "oob_score_", "oob_prediction_"):
            self.__dict__.pop(name, None)

    def _set_out_of_bag(
        self,
        training_set: TrainingSet,
        index: NDArray,
        left_out_by: NDArray,
        main_tasks: tuple[int, ...] | None,
    ) -> None:
        outputs = predict_out_of_bag(
            self.network_,
            training_set.X,
            index,
            left_out_by,
            self._is_labelled,
            probabilities_or_moments,
        )
        tasks, codes = training_set.tasks, training_set.counted
        if any(isinstance(kind, Gaussian) for kind in training_set.outputs):
            self._tasks = training_set.with_deviation_factors(outputs)
        outputs = [
            target.in_units(out[:, 0]) if isinstance(target, Numbers) else out
            for target, out in zip(tasks.targets, outputs, strict=True)
        ]
        firsts = [out if out.ndim == 1 else out[:, 0] for out in outputs]
        is_known = ~np.isnan(np.column_stack(firsts))
        predicted = [p if p.ndim == 1 else p.argmax(axis=1) for p in outputs]
        scores = score_tasks(
            predicted,
            Encoded(tasks, codes, training_set.numbers_in_units()),
            ((codes >= 0) & is_known).astype(np.float64),
        )
        self.oob_score_ = mean_score(scores, main_tasks)
        if np.isnan(self.oob_score_):
            warn(
                "oob_score_ is NaN: no task that counts has labels enough in the rows "
                "that were left out. Use oob_score=False and cross-validation."
            )
        self.oob_prediction_ = self._in_form_of_prediction(outputs)

    def _set_fitted(
        self,
        training_set: AnyTrainingSet,
        network: TrunkAndHeads,
        epochs: list[Epoch],
        continues: bool,
    ) -> None:
        self.__dict__.update(self._fitted_attributes(training_set, network, continues))
        # An estimator that a callback has kept has no curve yet.
        earlier = getattr(self, "loss_curve_", []) if continues else []
        self.loss_curve_ = [*earlier, *(epoch.loss for epoch in epochs)]
        self.n_iter_ = len(self.loss_curve_)
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else np.inf
        validates = self.early_stopping
        self.validation_scores_ = self.task_validation_scores_ = None
        if validates:
            self.validation_scores_ = [epoch.validation_score for epoch in epochs]
            by_task: Any = [epoch.task_scores for epoch in epochs]
            shape = len(epochs), self.n_outputs_
            self.task_validation_scores_ = np.reshape(by_task, shape)
        self.best_validation_score_ = (
            best_validation_score(epochs, by_task=network.n_trunks > 1)
            if validates
            else None
        )
        self.best_loss_ = None if validates else min(self.loss_curve_, default=np.inf)

    def _fitted_attributes(
        self, training_set: AnyTrainingSet, network: TrunkAndHeads, continues: bool
    ) -> dict[str, Any]:
        """What a prediction needs."""
        is_labelled = self._labelled_so_far(training_set, continues)
        attributes = self._attributes_of(training_set.tasks, network, is_labelled)
        return attributes | {"_columns": training_set.columns}

    def _attributes_of(
        self, tasks: Tasks, network: TrunkAndHeads, is_labelled: NDArray
    ) -> dict[str, Any]:
        """All that is said about the tasks."""
        return {
            "_tasks": tasks,
            "_is_labelled": is_labelled,
            "task_names_": tasks.names.copy(),
            "n_outputs_": tasks.n_tasks,
            "network_": network,
        }

    def _labelled_so_far(
        self, training_set: AnyTrainingSet, continues: bool
    ) -> NDArray:
        """(n_tasks,): also in the calls that this one continues."""
        earlier = self._is_labelled if continues else False
        return training_set.is_labelled | earlier

    def _warn_if_still_improving(self, result: TrainingResult) -> None:
        if (
            result.stopped_by == "max_iter"
            and self.learning_rate == "constant"
            and result.epochs
        ):
            warn(
                f"Maximum number of epochs ({len(result.epochs)}) reached and the "
                "optimization hasn't converged yet. Raise max_iter, or use "
                "learning_rate='cosine', which is made for a fixed number of epochs.",
                ConvergenceWarning,
            )

    # The prediction ---------------------------------------------------------------

    def _check_for_prediction(self, X: Any) -> Any:
        """X in memory; of a source, its parts one after the other."""
        check_is_fitted(self)
        if not is_source(X):
            return check_inputs(self, X, self._columns)[0]
        parts = parts_of(self, X)
        return (check_inputs(self, part.X, self._columns)[0] for part in parts)

    def _predict_by_task(
        self, X: Any, function: Callable[[Tensor, OutputGroup], Tensor]
    ) -> list[NDArray]:
        X = self._check_for_prediction(X)
        return predict_tasks(self.network_, X, self._is_labelled, function)

    def _in_form_of_prediction(self, outputs: list[NDArray]) -> Any:
        """Probabilities and numbers in units, as the estimator gives them."""
        raise NotImplementedError


def _in_units(by_task: list[NDArray], tasks: Tasks) -> list[NDArray]:
    """Numbers in units of the task; what belongs to classes as it is."""
    return [
        target.in_units(outputs) if isinstance(target, Numbers) else outputs
        for target, outputs in zip(tasks.targets, by_task, strict=True)
    ]


@contextlib.contextmanager
def _restored_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Put the attributes back where something fails: no half-trained state."""
    attributes = dict(estimator.__dict__)
    try:
        yield
    except (Exception, KeyboardInterrupt, SystemExit):
        # Not GeneratorExit, which Python may raise here long after the call.
        estimator.__dict__.clear()
        estimator.__dict__.update(attributes)
        raise

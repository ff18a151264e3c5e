"""How the estimators are trained: the work of fit, partial_fit and add_tasks."""

import contextlib
import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length

from skmtl._estimators._checkpoint import checkpoint_of
from skmtl._estimators._chunks import Calls
from skmtl._estimators._epochs import EpochReports
from skmtl._estimators._fit_logistic import fit_logistic_part
from skmtl._estimators._fit_ridge import fit_ridge_part
from skmtl._estimators._fitting import Training, prepare, seeded_generator
from skmtl._estimators._joint_fit import (
    check_alone,
    check_joint_parameters,
    joint_checkpoint,
    prepare_jointly,
)
from skmtl._estimators._joint_learning import Known, learn_from
from skmtl._estimators._out_of_bag import (
    LeftOut,
    count_lost,
    first_outputs,
    predict_out_of_bag,
    warn_of_lost,
)
from skmtl._estimators._parameters import (
    check_partial_fit_parameters,
    main_tasks_of,
    n_folds,
    outputs_of,
)
from skmtl._estimators._scales import check_same_transformers
from skmtl._estimators._scores import score_tasks
from skmtl._estimators._training_set import (
    AnyTrainingSet,
    TrainingSet,
    make_training_set,
)
from skmtl._estimators._transfer import (
    linear_share,
    network_for,
    pretrained_estimator,
    take_columns,
    take_linear_parts,
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
from skmtl._network import LINEAR_PARTS, TrunkAndHeads
from skmtl._outputs import (
    NUMBER_KINDS,
    Gaussian,
    OutputKind,
    kind_of_classes,
    probabilities_or_moments,
)
from skmtl._rows import as_tensor
from skmtl._targets import (
    Classes,
    Encoded,
    Numbers,
    Tasks,
    TaskTypes,
    check_labelled,
    check_same_classes,
    check_same_types,
    check_types_known,
    encode,
    joined_tasks,
    named_tasks,
    warn_of_measurements,
    warn_of_suspects,
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


class TrainableNet(CallbackSupportMixin, BaseEstimator):
    """One network for many tasks, and all ways to train it.

    Attributes are set on the estimator only after the training has succeeded.
    """

    # Parameters that only some estimators have.
    task_types: TaskTypes = "class"
    class_weight: Any = None
    loss: str = "squared_error"
    transformer: Any = None
    ridge: str = "none"
    logistic: str = "none"

    def _output_kind(self, target: Classes | Numbers) -> OutputKind:
        if isinstance(target, Classes):
            return kind_of_classes(target.n_codes)
        return NUMBER_KINDS[self.loss]

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
        """Check X, y and the weights, before any training."""
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
            check_same_types(self.task_types, self._tasks)
            encoded = encode(y, self.task_types, tasks=self._tasks)
            if classes is not None:
                check_same_classes(classes, self._tasks)
        else:
            encoded = encode(y, self.task_types, classes=classes)
            if classes is None:
                n_labels = (encoded.codes >= 0).sum(axis=0)
                warn_of_measurements(encoded.tasks, n_labels)
                if declare is not None and self.task_types == "auto":
                    check_types_known(encoded.tasks, n_labels)
        check_consistent_length(X, encoded.codes)
        main_tasks_of(self, encoded.tasks)  # checks the names
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
            left_out = use_left_out = None
            if not continues:
                folds = n_folds(self, data, network)
                knows_few = checkpoint is None or checkpoint.knows_few_left_out
                if folds == network.n_members or knows_few:
                    left_out = self._leave_out(
                        training_set, index, folds, network.n_members, rng
                    )
            if left_out is not None:
                use_left_out = partial(
                    self._use_left_out, training_set, index, left_out, main_tasks
                )
            rows = RowsInMemory(
                training_set.data,
                as_tensor(index),
                held_out,
                None if left_out is None else as_tensor(left_out.by),
            )
            training = Training(
                training_set, rows, network, plan, generator, checkpoint
            )
            reports = self._reports(training, X, y, sample_weight)
            return self._train(training, reports, continues, use_left_out)

    def _fit_jointly(
        self, X: Any, y: Any, sample_weight: Any, continues: bool
    ) -> TrainingResult:
        """Fit on rows that are read in blocks, or shared among processes."""
        world = current_world()
        check_joint_parameters(self, world, continues=continues)
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
            reports = self._reports(training, X, y, sample_weight)
            return self._train(training, reports, continues)

    def _known_before(self, continues: bool) -> Known:
        """What an earlier fit of this or of the pretrained estimator has learned."""
        if continues:
            return Known(self._columns, self._tasks)
        pretrained = pretrained_estimator(self)
        if pretrained is None:
            return Known(None, None)
        take_columns(self, pretrained)
        return Known(pretrained._columns, None)

    def _check_labels(self, training_set: AnyTrainingSet, continues: bool) -> None:
        labelled = training_set.is_labelled  # without any label, nothing is trained
        if labelled.any():
            labelled = self._labelled_so_far(training_set, continues)
        are_guessed = self.task_types == "auto"
        check_labelled(training_set.tasks, labelled, are_guessed=are_guessed)
        if not continues:
            warn_of_suspects(
                training_set.tasks, training_set.counted, training_set.totals
            )

    def _reports(
        self, training: Training, X: Any, y: Any, sample_weight: Any
    ) -> EpochReports:
        context = self._init_callback_context(max_subtasks=training.plan.max_iter)
        is_quiet = training.world is not None and training.world.rank > 0
        return EpochReports(self, context, X, y, sample_weight, is_quiet=is_quiet)

    def _train(
        self,
        training: Training,
        reports: EpochReports,
        continues: bool,
        use_left_out: Callable[[], None] | None = None,
    ) -> TrainingResult:
        training_set, rows, network, plan, generator, checkpoint, world = training

        def resume() -> TrainingState | None:
            if checkpoint is None:
                return None
            digest = training_set.digest()
            return checkpoint.resume(digest, network, plan, rows, world)

        if world is None:
            resumed = resume()
        else:
            resumed = world.gather(world.agree_on_first(resume), "checkpoint")[0]

        def fitted_attributes() -> dict:
            # A copy: a callback can keep it, and the training continues.
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
            # A process that continued alone would wait for the others.
            catches_interrupt=catches_interrupts() and world is None,
            on_epoch_begin=reports.begin,
            on_epoch_end=end_epoch,
            on_state=None if checkpoint is None else checkpoint.write,
        )
        self._set_fitted(training_set, network, result.epochs, continues)
        if use_left_out is not None:
            use_left_out()
        # The factors on predicted deviations belong to the tasks.
        reports.finish(lambda: fitted_attributes() | {"_tasks": self._tasks})
        return result

    def _leave_out(
        self,
        training_set: TrainingSet,
        index: NDArray,
        n_folds: int,
        n_members: int,
        rng: np.random.RandomState,
    ) -> LeftOut | None:
        if n_folds == 0:
            return None
        left_out_by = training_set.leave_out(index, n_folds, n_members, rng)
        if (left_out_by >= 0).any():
            return LeftOut(left_out_by, is_every_row=n_folds == n_members)
        if self.oob_score != "auto":
            warn(
                "oob_score=True can leave out a row only if each of its classes has at "
                f"least {n_members} labels, one per member, but fewer than half of the "
                "rows are such rows. No row is left out, and oob_score_ is not set. "
                "Use fewer members."
            )
        return None

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
        with torch.inference_mode(False), restored_on_error(self):
            calls = getattr(self, "_calls", Calls()).next(n_calls, n_rows)
            continues = self.__sklearn_is_fitted__()
            declare = partial(declare_columns, columns)
            training_set = self._check_training_set(
                X, y, sample_weight, continues, classes, declare
            )
            self._check_first_call(training_set, continues)
            self._partial_fit_network(training_set, continues, calls)

    def _check_first_call(self, training_set: TrainingSet, continues: bool) -> None:
        """Check that each numeric task has a value to learn its scale from."""
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
        is_auto = isinstance(self.batch_size, str)
        result = train(
            network,
            RowsInMemory(training_set.data, as_tensor(index)),
            calls.plan(plan, len(index), evens_batches=is_auto),
            generator,
            solver_state=state,
            in_one_pass=True,
            catches_interrupt=False,  # it must end the caller's loop
        )
        self._set_fitted(training_set, network, result.epochs, continues)
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
        take_linear_parts(joined, fitted, fitted_tasks)
        self._set_tasks(tasks, joined, is_labelled, fitted_tasks)

    def _main_tasks_among(self, new: Tasks, tasks: Tasks) -> tuple[int, ...] | None:
        """The new tasks that count; None, meaning all, if none of them does."""
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
        """`fitted_tasks` are the earlier positions of the tasks, -1 for new ones."""
        attributes = self._attributes_of(tasks, network, is_labelled)
        # A copy that a callback has kept has no scores yet.
        scores: Any = getattr(self, "task_validation_scores_", None)
        if scores is not None:
            by_task = np.where(fitted_tasks < 0, np.nan, scores[:, fitted_tasks])
            attributes["task_validation_scores_"] = by_task
        self.__dict__.update(attributes)
        self._forget_training()

    def _forget_training(self) -> None:
        """Delete what belongs to an earlier network, or to other rows."""
        for name in ("_solver_state", "_calls", "oob_score_", "oob_prediction_"):
            self.__dict__.pop(name, None)

    def _use_left_out(
        self,
        training_set: TrainingSet,
        index: NDArray,
        left_out: LeftOut,
        main_tasks: tuple[int, ...] | None,
    ) -> None:
        outputs = predict_out_of_bag(
            self.network_,
            training_set.X,
            index,
            left_out.by,
            self._is_labelled,
            probabilities_or_moments,
        )
        outputs = self._add_linear_parts(training_set, index, left_out.by, outputs)
        if not left_out.is_every_row:
            return
        if any(isinstance(kind, Gaussian) for kind in training_set.outputs):
            self._tasks = training_set.with_deviation_factors(outputs)
        self._set_out_of_bag(training_set, outputs, main_tasks)

    def _set_out_of_bag(
        self,
        training_set: TrainingSet,
        outputs: list[NDArray],
        main_tasks: tuple[int, ...] | None,
    ) -> None:
        tasks, codes = training_set.tasks, training_set.counted
        is_known = ~np.isnan(first_outputs(outputs))
        in_units = [
            target.in_units(out[:, 0]) if isinstance(target, Numbers) else out
            for target, out in zip(tasks.targets, outputs, strict=True)
        ]
        encoded = Encoded(tasks, codes, training_set.numbers_in_units())
        n_lost = count_lost(encoded, in_units, is_known)
        # A score of the other rows alone would be better than the predictions are.
        is_scored = (codes >= 0) & is_known & (n_lost == 0) & self._is_labelled
        predicted = [p if p.ndim == 1 else p.argmax(axis=1) for p in in_units]
        scores = score_tasks(predicted, encoded, is_scored.astype(np.float64))
        self.oob_score_ = mean_score(scores, main_tasks)
        self.oob_prediction_ = self._in_form_of_prediction(in_units)
        if n_lost.any():
            warn_of_lost(tasks, n_lost)
        elif np.isnan(self.oob_score_):
            warn(
                "oob_score_ is NaN, because no task that counts has enough labels in "
                "the rows that were left out. Use oob_score=False and "
                "cross-validation."
            )

    def _add_linear_parts(
        self,
        training_set: TrainingSet,
        index: NDArray,
        left_out_by: NDArray,
        outputs: list[NDArray],
    ) -> list[NDArray]:
        """Add the linear parts that help; returns the outputs that include them."""
        network: TrunkAndHeads = self.network_
        if self.ridge == "auto":
            ridge = fit_ridge_part(network, training_set, index, outputs)
            if ridge is not None:
                network.ridge_part, outputs = ridge
                self.ridge_share_ = linear_share(network, "ridge")
        if self.logistic == "auto":
            logistic = fit_logistic_part(
                network, training_set, index, left_out_by, outputs
            )
            if logistic is not None:
                network.logistic_part, outputs = logistic
                self.logistic_share_ = linear_share(network, "logistic")
        return outputs

    def _set_fitted(
        self,
        training_set: AnyTrainingSet,
        network: TrunkAndHeads,
        epochs: list[Epoch],
        continues: bool,
    ) -> None:
        self.__dict__.update(self._fitted_attributes(training_set, network, continues))
        # A copy that a callback has kept has no curve yet.
        earlier = getattr(self, "loss_curve_", []) if continues else []
        self.loss_curve_ = [*earlier, *(epoch.loss for epoch in epochs)]
        self.n_iter_ = len(self.loss_curve_)
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else np.inf
        self.validation_scores_ = self.task_validation_scores_ = None
        self.best_validation_score_ = self.best_loss_ = None
        if self.early_stopping:
            self.validation_scores_ = [epoch.validation_score for epoch in epochs]
            by_task: Any = [epoch.task_scores for epoch in epochs]
            shape = len(epochs), self.n_outputs_
            self.task_validation_scores_ = np.reshape(by_task, shape)
            self.best_validation_score_ = best_validation_score(
                epochs, by_task=network.n_trunks > 1
            )
        else:
            self.best_loss_ = min(self.loss_curve_, default=np.inf)
        self._forget_training()

    def _fitted_attributes(
        self, training_set: AnyTrainingSet, network: TrunkAndHeads, continues: bool
    ) -> dict[str, Any]:
        """The attributes that a prediction needs."""
        is_labelled = self._labelled_so_far(training_set, continues)
        attributes = self._attributes_of(training_set.tasks, network, is_labelled)
        return attributes | {"_columns": training_set.columns}

    def _attributes_of(
        self, tasks: Tasks, network: TrunkAndHeads, is_labelled: NDArray
    ) -> dict[str, Any]:
        """The attributes that describe the tasks."""
        attributes = {
            "_tasks": tasks,
            "_is_labelled": is_labelled,
            "task_names_": tasks.names.copy(),
            "n_outputs_": tasks.n_tasks,
            "network_": network,
        }
        parameters = self._get_param_names()
        for name in LINEAR_PARTS:
            if name in parameters:
                attributes[f"{name}_share_"] = linear_share(network, name)
        return attributes

    def _labelled_so_far(
        self, training_set: AnyTrainingSet, continues: bool
    ) -> NDArray:
        """(n_tasks,): labelled in this call or in those that it continues."""
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
                "learning_rate='cosine', which suits a fixed number of epochs.",
                ConvergenceWarning,
            )

    def _in_form_of_prediction(self, outputs: list[NDArray]) -> Any:
        """Probabilities and numbers in their units, in the form of a prediction."""
        raise NotImplementedError


@contextlib.contextmanager
def restored_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Restore the attributes if something fails: no half-trained state."""
    attributes = dict(estimator.__dict__)
    try:
        yield
    except (Exception, KeyboardInterrupt, SystemExit):
        # Not GeneratorExit, which Python can raise here long after the call.
        estimator.__dict__.clear()
        estimator.__dict__.update(attributes)
        raise

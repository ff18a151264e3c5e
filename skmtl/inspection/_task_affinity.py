"""task_affinity measures how tasks pull on the layers that they share."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cut_tree, leaves_list, linkage
from scipy.spatial.distance import squareform
from sklearn.base import clone
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import Interval, validate_params
from sklearn.utils.validation import _num_samples, indexable
from torch import Tensor

from skmtl._estimators import BaseMultiTaskNet
from skmtl._estimators._parameters import frozen_layers
from skmtl._estimators._training_set import make_training_set
from skmtl._inputs import check_inputs
from skmtl._interrupts import call_uncaught
from skmtl._messages import shorten, warn
from skmtl._network import Positions, SparseRows, TrunkAndHeads
from skmtl._outputs import Labels, in_task_order, task_losses
from skmtl._rows import CHUNK_ELEMENTS, LabelledRows
from skmtl._sources import check_not_in_blocks
from skmtl._tables import as_table, as_text
from skmtl._targets import encode
from skmtl._training import Piece, iter_chunks, mean_task_losses, read_block
from skmtl.inspection._comparison import (
    check_joint,
    encode_for,
    mean_or_nan,
    network_in,
)
from skmtl.model_selection import MultiTaskStratifiedShuffleSplit

# Length of a lookahead step relative to the trunk's parameters: short enough for the
# loss to be nearly linear, long enough for a visible change in float32.
STEP = 0.01


@dataclass(frozen=True, repr=False)
class TaskAffinity:
    """The result of `task_affinity`.

    Attributes
    ----------
    task_names : ndarray of shape (n_tasks,)
        The names of the tasks.
    epochs : ndarray of shape (n_snapshots,)
        The numbers of epochs after which the network was measured.
    lookahead_by_epoch : ndarray of shape (n_snapshots, n_tasks, n_tasks)
        Element [s, i, j] is the relative reduction of the loss of task j by a step of
        the trunk for task i. It is negative if the step increases the loss. If the loss
        itself is negative, as it can be with `loss="gaussian"`, the reduction is
        relative to its absolute value.
    cosine_by_epoch, colabelled_cosine_by_epoch : ndarray of shape \
            (n_snapshots, n_tasks, n_tasks)
        Cosine between the gradients of the losses of two tasks with respect to the
        shared features, on all rows and on the rows that have labels of both tasks.
    n_colabelled : ndarray of shape (n_tasks, n_tasks)
        The number of measured rows that have labels of both tasks; on the diagonal, the
        number of rows with a label of the task.
    estimator : skmtl estimator or Pipeline
        The fitted estimator.

    See Also
    --------
    task_affinity : The function that fits and measures.
    TaskAffinityDisplay : Plot the result.

    Examples
    --------
    Two tasks and their opposites. Features for a task also help its opposite:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import task_affinity
    >>> X = np.random.default_rng(0).normal(size=(300, 4))
    >>> a, b = X[:, 0] * X[:, 1], X[:, 2] * X[:, 3]
    >>> Y = np.column_stack([a > 0, b > 0, a < 0, b < 0])
    >>> clf = MultiTaskNetClassifier((64,), n_members=1, random_state=0)
    >>> task_affinity(clf, X, Y).groups()
    [['task_0', 'task_2'], ['task_1', 'task_3']]
    """

    task_names: NDArray
    epochs: NDArray
    lookahead_by_epoch: NDArray
    cosine_by_epoch: NDArray
    colabelled_cosine_by_epoch: NDArray
    n_colabelled: NDArray
    estimator: Any

    @property
    def lookahead(self) -> NDArray:
        """(n_tasks, n_tasks): mean of `lookahead_by_epoch` over the epochs."""
        return mean_or_nan(self.lookahead_by_epoch, axis=0)

    @property
    def cosine(self) -> NDArray:
        """(n_tasks, n_tasks): mean of `cosine_by_epoch` over the epochs."""
        return mean_or_nan(self.cosine_by_epoch, axis=0)

    @property
    def colabelled_cosine(self) -> NDArray:
        """(n_tasks, n_tasks): mean of `colabelled_cosine_by_epoch` over the epochs."""
        return mean_or_nan(self.colabelled_cosine_by_epoch, axis=0)

    @property
    def table(self) -> Any:
        """A table with one row per task, as a DataFrame or dict of ndarray.

        The columns are the number of rows with a label; `best`, the other task whose
        steps reduce the loss most, and `worst`, the one whose steps reduce it least or
        increase it, each with its affinity; and the group of the task.
        """
        steps = self.lookahead.T.copy()  # [j, i]: the effect of a step for i on task j
        np.fill_diagonal(steps, np.nan)
        best = np.where(np.isnan(steps), -np.inf, steps).argmax(axis=1)
        worst = np.where(np.isnan(steps), np.inf, steps).argmin(axis=1)
        columns: dict[str, NDArray] = {"n_labelled": np.diag(self.n_colabelled)}
        for name, other in (("best", best), ("worst", worst)):
            affinity = np.take_along_axis(steps, other[:, None], axis=1)[:, 0]
            is_known = np.isfinite(affinity)
            columns[name] = self.task_names[other].astype(object)
            columns[name][~is_known] = None
            columns[f"affinity_of_{name}"] = affinity
        columns["group"] = self._group_numbers()
        return as_table(columns, self.task_names.tolist())

    def groups(self, n_groups: int | None = None) -> list[list[str]]:
        """Suggest which tasks to train together.

        The groups come from average linkage on the lookahead affinity, averaged over
        both directions. A task with undefined affinity is a group of its own.

        Parameters
        ----------
        n_groups : int, default=None
            Number of groups. By default, groups are merged as long as the mean affinity
            between them is positive.

        Returns
        -------
        groups : list of list of str
            The task names of each group, in the order of the tasks.
        """
        n_tasks = len(self.task_names)
        if n_groups is not None and (
            not isinstance(n_groups, Integral) or not 1 <= n_groups <= n_tasks
        ):
            raise ValueError(
                "n_groups must be a whole number from 1 to the number of tasks, "
                f"{n_tasks}; got {n_groups!r}. Leave it out to merge groups with "
                "positive affinity."
            )
        numbers = self._group_numbers(n_groups)
        return [self.task_names[numbers == i].tolist() for i in range(max(numbers) + 1)]

    def _group_numbers(self, n_groups: int | None = None) -> NDArray:
        """(n_tasks,): group of each task, numbered by their first tasks."""
        labels = _cluster(symmetric(self.lookahead), n_groups).tolist()
        number = {label: i for i, label in enumerate(dict.fromkeys(labels))}
        return np.array([number[label] for label in labels])

    def __repr__(self) -> str:
        epochs = ", ".join(map(str, self.epochs.tolist()))
        between = ~np.eye(len(self.task_names), dtype=bool)
        lines = [f"Affinity of {len(self.task_names)} tasks after epochs {epochs}"]
        lines.append(as_text(self.table))
        for name in ("lookahead", "cosine", "colabelled_cosine"):
            values = getattr(self, name)[between]
            values = values[np.isfinite(values)]
            spread = "undefined"
            if len(values):
                spread = f"{values.min():.4f} to {values.max():.4f}"
                spread += f", mean {values.mean():.4f}"
            lines.append(f"{name} between tasks: {spread}")
        return "\n".join(lines)


@validate_params(
    {
        "n_snapshots": [Interval(Integral, 1, None, closed="left")],
        "max_samples": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=False,  # the estimator is fitted inside
)
def task_affinity(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    n_snapshots: int = 5,
    max_samples: int | None = 2000,
    random_state: Any = None,
) -> TaskAffinity:
    """Measure during a fit how tasks pull on the layers that they share.

    The function computes three measures for every pair of tasks, at several epochs of
    one fit. They are cheap, because one fit covers all pairs, but they are only hints.
    To measure whether a task gains from the others, use `transfer_gain`.

    - For the lookahead affinity [1]_, the trunk makes a short step for task i alone.
      The affinity is the relative reduction of the loss of task j by this step. No row
      needs labels of both tasks.
    - The co-labelled cosine compares the gradients of both tasks at the shared features
      [2]_, on the rows that have labels of both. It shows whether the tasks want to
      move the features of a row in the same direction.
    - The cosine compares the same gradients on all rows. A missing label has no
      gradient, so the cosine is closer to 0 the fewer rows the tasks have in common.

    Parameters
    ----------
    estimator : skmtl estimator, or a Pipeline around one
        The joint network. A clone of it is fitted.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input data.
    y : array-like of shape (n_samples, n_tasks)
        The labels or numbers. Missing labels are NaN, None or pd.NA.
    n_snapshots : int, default=5
        Number of epochs after which to measure: the first and the last of `max_iter`,
        and some in between. With 1, only the first epoch is measured. If the fit stops
        early, the later ones are missing.
    max_samples : int or None, default=2000
        Maximum number of training rows to measure on, chosen so that each task keeps
        its share of labels; None means all rows. For each task, a snapshot takes about
        as long as three epochs on these rows.
    random_state : int, RandomState instance or None, default=None
        Seed for the choice of these rows. The fit uses the estimator's own seed.

    Returns
    -------
    result : TaskAffinity
        The measures, with groups of tasks.

    Raises
    ------
    ValueError
        If `estimator` contains no skmtl estimator, if its tasks share no trainable
        layer, if it trains for no epoch, or if `y` has only one task.

    Warns
    -----
    UserWarning
        If a task has no label of positive weight in the measured rows. Its affinities
        are NaN.

    See Also
    --------
    TaskAffinityDisplay : Plot the result.
    transfer_gain : Measure the gain from joint training.

    Notes
    -----
    The affinity is 1 - L_j(s - h g_i, t_j) / L_j(s, t_j) [1, equation 1]_. Here L_j is
    the mean loss over the labels of task j, s are the parameters of the trunk, t_j are
    those of the head, and g_i is the gradient of L_i with respect to s. There are two
    differences from the paper:

    - The step h g_i has the same length for all tasks, a hundredth of the length of s,
      so that a task with few labels and a steep loss does not outweigh the others. The
      step size h does not depend on the solver.
    - The affinity is measured after some of the epochs, without dropout. It is not the
      mean over all steps.

    The loss of a numeric task is that of its standardised values. With
    `loss="gaussian"`, it is a negative log-density, which may be negative or 0. The
    affinity is then (L_j(s, t_j) - L_j(s - h g_i, t_j)) / abs(L_j(s, t_j)). This is the
    same for a positive loss, and large if the loss is close to 0.

    The gradient at the features has one vector per row, from the loss of this row. The
    cosines compare the concatenated vectors of all rows and all members of the network.

    As in [1]_, the loss is that of the training rows. Once a network has memorised
    them, only single rows contribute to the loss. Even related tasks then compete over
    these rows, and affinities become negative. To avoid this, use a network with
    dropout (the default) or few epochs, and check `lookahead_by_epoch`.

    References
    ----------
    .. [1] C. Fifty, E. Amid, Z. Zhao, T. Yu, R. Anil, C. Finn, "Efficiently
       Identifying Task Groupings for Multi-Task Learning", NeurIPS 2021.
       :arxiv:`2109.04617`
    .. [2] O. Sener, V. Koltun, "Multi-Task Learning as Multi-Objective Optimization",
       NeurIPS 2018, section 3.3, which uses the gradients at the shared features.
       :arxiv:`1810.04650`

    Examples
    --------
    Two pairs of related tasks; no row has labels of more than one task:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import task_affinity
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(600, 4))
    >>> a, b = X[:, 0] * X[:, 1], X[:, 2] * X[:, 3]
    >>> Y = np.column_stack([a > 0, a < 0, b > 0, b < 0])
    >>> Y = np.where(np.eye(4, dtype=bool)[rng.integers(4, size=600)], Y, np.nan)
    >>> clf = MultiTaskNetClassifier((64,), n_members=1, random_state=0)
    >>> affinity = task_affinity(clf, X, Y)
    >>> affinity.groups()
    [['task_0', 'task_1'], ['task_2', 'task_3']]
    >>> affinity.n_colabelled[0, 1]
    np.int64(0)
    """
    check_not_in_blocks(X, "task_affinity")
    tasks = encode_for(estimator, y).tasks
    if tasks.n_tasks < 2:
        raise ValueError(
            "y must have at least two tasks that can share layers; got "
            f"{tasks.n_tasks}. Pass one column per task."
        )
    rows = _rows_to_look_at(X, y, max_samples, random_state)
    model, monitor = _fit_watched(estimator, X, y, rows, n_snapshots)
    _check_trunk_is_trained(monitor)
    snapshots = [
        _look(fitted, monitor.X, monitor.y, n_epochs)
        for n_epochs, fitted in monitor.fitted.items()
    ]
    lookahead, cosine, colabelled, counts = map(np.array, zip(*snapshots, strict=True))
    n_colabelled = counts[0]
    unlabelled = tasks.names[np.diag(n_colabelled) == 0]
    _warn_unlabelled(unlabelled, tasks.n_tasks, len(rows), _num_samples(X))
    epochs = np.array(list(monitor.fitted))
    return TaskAffinity(
        tasks.names, epochs, lookahead, cosine, colabelled, n_colabelled, model
    )


def symmetric(affinity: NDArray) -> NDArray:
    """The mean of both directions."""
    both: NDArray = (affinity + affinity.T) / 2
    return both


def cluster_order(affinity: NDArray) -> NDArray:
    """An order of the tasks of a symmetric matrix that keeps clusters together."""
    known, unknown = _known_and_unknown(affinity)
    if len(known) > 1:
        tree, _ = _average_linkage(affinity[np.ix_(known, known)])
        known = known[leaves_list(tree)]
    return np.concatenate([known, unknown])


def _cluster(affinity: NDArray, n_groups: int | None) -> NDArray:
    """A label per task; by default, groups with positive mean affinity are merged."""
    known, unknown = _known_and_unknown(affinity)
    labels = np.arange(len(affinity)) + len(affinity)  # each task alone
    if len(known) > 1:
        tree, greatest = _average_linkage(affinity[np.ix_(known, known)])
        if n_groups is None:
            n_known = len(known) - int(np.count_nonzero(tree[:, 2] < greatest))
        else:
            n_known = max(1, n_groups - len(unknown))
        labels[known] = cut_tree(tree, n_known)[:, 0]
    return labels


def _known_and_unknown(affinity: NDArray) -> tuple[NDArray, NDArray]:
    is_known = np.isfinite(np.diag(affinity))
    return np.flatnonzero(is_known), np.flatnonzero(~is_known)


def _average_linkage(affinity: NDArray) -> tuple[NDArray, float]:
    """A linkage tree, and the greatest affinity.

    Distances are the greatest affinity minus the mean affinity of the merged groups. If
    no row has labels of both tasks, their affinity counts as 0.
    """
    between = np.nan_to_num(squareform(affinity, checks=False), nan=0.0)
    greatest = float(between.max())
    return linkage(greatest - between, "average", optimal_ordering=True), greatest


def _rows_to_look_at(
    X: Any, y: Any, max_samples: int | None, random_state: Any
) -> NDArray:
    n_samples = _num_samples(X)
    if max_samples is None or n_samples <= max_samples:
        return np.arange(n_samples)
    splitter = MultiTaskStratifiedShuffleSplit(
        1, train_size=max_samples, random_state=random_state
    )
    rows, _ = next(splitter.split(X, y))
    return np.sort(rows)


class _Monitor:
    """A callback that keeps the estimator at some epochs, and some rows."""

    def __init__(self, rows: NDArray, n_snapshots: int) -> None:
        self.rows = rows
        self.n_snapshots = n_snapshots
        self.epochs = np.zeros(0, dtype=int)
        self.fitted: dict[int, BaseMultiTaskNet] = {}  # by number of epochs

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        if context.task_name == "epoch":  # how many there will be can double
            steps = np.linspace(1, context.parent.max_subtasks, self.n_snapshots)
            self.epochs = steps.round().astype(int)

    def on_fit_task_end(
        self, estimator, context, *, X=None, y=None, fitted_estimator=None
    ):
        n_epochs = context.task_id + 1
        if context.task_name == "epoch" and n_epochs in self.epochs:
            self.fitted[n_epochs] = fitted_estimator
            self.X, self.y = (
                _safe_indexing(part, self.rows) for part in indexable(X, y)
            )

    def keep_evenly_spaced(self) -> None:
        """Forget what was only wanted before the number of epochs doubled."""
        kept = np.array(list(self.fitted))
        nearest = np.abs(kept[:, np.newaxis] - self.epochs).argmin(axis=0)
        self.fitted = {n: self.fitted[n] for n in kept[np.unique(nearest)].tolist()}


def _fit_watched(
    estimator: Any, X: Any, y: Any, rows: NDArray, n_snapshots: int
) -> tuple[Any, _Monitor]:
    """A fitted clone, and the monitor with its state at some epochs."""
    check_joint(estimator)
    model = clone(estimator)
    network = network_in(model)
    if network.max_iter != "auto" and network.max_iter < 1:
        raise ValueError(
            "estimator must train for at least one epoch; got max_iter="
            f"{network.max_iter}. Use max_iter of at least 1."
        )
    monitor = _Monitor(rows, n_snapshots)
    callbacks = getattr(network, "_skl_callbacks", [])
    network.set_callbacks(*callbacks, monitor)
    call_uncaught(model.fit, X, y)
    network.set_callbacks(*callbacks)
    monitor.keep_evenly_spaced()
    return model, monitor


def _check_trunk_is_trained(monitor: _Monitor) -> None:
    if not any(
        _trained_parameters(fitted.network_, _n_frozen_layers(fitted, n_epochs))
        for n_epochs, fitted in monitor.fitted.items()
    ):
        raise ValueError(
            "estimator must train layers that its tasks share, but they are all "
            f"frozen after epochs {list(monitor.fitted)}, which were measured. Use "
            "freeze='none', or more snapshots if the layers are trained later."
        )


class _Look(NamedTuple):
    """Affinities of all pairs of tasks at one epoch; all (n_tasks, n_tasks)."""

    lookahead: NDArray
    cosine: NDArray
    colabelled_cosine: NDArray
    n_colabelled: NDArray


def _n_frozen_layers(fitted: Any, n_epochs: int) -> int:
    """The number of trunk layers that were not trained in epoch `n_epochs`."""
    freeze = frozen_layers(fitted.freeze, fitted.network_)
    is_released = freeze.n_epochs is not None and n_epochs > freeze.n_epochs
    return 0 if is_released else freeze.n_layers


def _look(fitted: BaseMultiTaskNet, X: Any, y: Any, n_epochs: int) -> _Look:
    X, columns = check_inputs(fitted, X, fitted._columns)
    encoded = encode(y, fitted.task_types, tasks=fitted._tasks)
    data = make_training_set(
        X,
        columns,
        encoded,
        fitted._output_kind,
        learns_scale=False,
        sample_weight=None,
        task_weight=None,  # has no effect on the mean loss of a task
        class_weight=fitted.class_weight,
    ).data
    index = torch.arange(len(encoded.codes), device="cpu")
    network = fitted.network_
    return _Look(
        lookahead_affinity(network, data, index, _n_frozen_layers(fitted, n_epochs)),
        *feature_cosines(network, data, index),
    )


def lookahead_affinity(
    network: TrunkAndHeads, data: LabelledRows, index: Tensor, n_frozen_layers: int = 0
) -> NDArray:
    """(n_tasks, n_tasks): relative reduction of the loss of j by a step for i."""
    before = mean_task_losses(network, [Piece(data, index)])
    affinity = np.full((len(before), len(before)), np.nan)
    parameters = _trained_parameters(network, n_frozen_layers)
    if not parameters:
        return affinity
    for task in np.flatnonzero(np.isfinite(before)):
        gradient = _trunk_gradient(network, data, index, int(task), parameters)
        with _stepped(parameters, gradient):
            after = mean_task_losses(network, [Piece(data, index)])
        # The density of a number may be above 1, so that its log loss is below 0.
        size = np.where(before == 0, np.nan, np.abs(before))
        affinity[task] = (before - after) / size
    return affinity


def _trained_parameters(network: TrunkAndHeads, n_frozen_layers: int) -> list[Tensor]:
    """The parameters of the trunk that are not frozen."""
    frozen = {id(p) for p in network.trunk.frozen_parameters(n_frozen_layers)}
    return [p for p in network.trunk.parameters() if id(p) not in frozen]


def _trunk_gradient(
    network: TrunkAndHeads,
    data: LabelledRows,
    index: Tensor,
    task: int,
    parameters: Sequence[Tensor],
) -> list[Tensor]:
    """The gradient of the sum of a task's losses; its length does not matter."""
    total = [torch.zeros_like(p) for p in parameters]
    for chunk in iter_chunks(network, data.rows, len(index)):
        x, labels, _ = read_block(data, index[chunk], network.like, network.groups)
        loss = task_losses(network(x), labels, network.groups)[task]
        gradient = torch.autograd.grad(loss, parameters, materialize_grads=True)
        for part, more in zip(total, gradient, strict=True):
            part += more
    return total


@contextmanager
def _stepped(
    parameters: Sequence[Tensor], gradient: Sequence[Tensor]
) -> Iterator[None]:
    """Move the parameters a short step down the gradient, and restore them."""
    values = [p.detach().clone() for p in parameters]
    length, slope = _length(values), _length(gradient)
    step = STEP * length / slope if slope > 0 else 0.0
    with torch.no_grad():
        for parameter, part in zip(parameters, gradient, strict=True):
            parameter.sub_(part, alpha=step)
        try:
            yield
        finally:
            for parameter, value in zip(parameters, values, strict=True):
                parameter.copy_(value)


def _length(parts: Sequence[Tensor]) -> float:
    return math.hypot(*(float(part.norm()) for part in parts))


def feature_cosines(
    network: TrunkAndHeads, data: LabelledRows, index: Tensor
) -> tuple[NDArray, NDArray, NDArray]:
    """Cosines of the tasks' gradients at the features, all (n_tasks, n_tasks).

    On all rows, on the rows with labels of both tasks, and the number of the latter.
    """
    n_tasks = data.codes.shape[1]
    products = torch.zeros(n_tasks, n_tasks, dtype=torch.float64, device="cpu")
    squares = torch.zeros_like(products)  # [i, j]: task i on rows with a label of j
    counts = torch.zeros_like(products)
    n_rows = max(1, CHUNK_ELEMENTS // (n_tasks * network.n_features_out))
    for rows in index.split(n_rows):
        x, labels, _ = read_block(data, rows, network.like, network.groups)
        gradients = _feature_gradients(network, x, labels).double().cpu()
        weights = labels.weights.T.contiguous()
        is_labelled = in_task_order(weights > 0, network.groups).double().cpu()
        products += gradients.flatten(1) @ gradients.flatten(1).T
        squares += gradients.square().sum(2) @ is_labelled.T
        counts += is_labelled @ is_labelled.T
    total = squares.diagonal().sqrt()
    cosine = products / torch.outer(total, total)
    colabelled = products / (squares * squares.T).sqrt()
    return cosine.numpy(), colabelled.numpy(), counts.numpy().astype(int)


def _feature_gradients(
    network: TrunkAndHeads, x: Tensor | SparseRows | Positions, labels: Labels
) -> Tensor:
    """(n_tasks, batch, n_members * width): gradients of the losses of each task."""
    with torch.no_grad():
        features = network.encode(x)
    features = cast(Tensor, features).requires_grad_()
    losses = task_losses(network.decode(features), labels, network.groups)
    gradients = [
        torch.autograd.grad(loss, features, retain_graph=True)[0] for loss in losses
    ]
    return torch.stack(gradients).movedim(-2, 1).flatten(2)


def _warn_unlabelled(
    unlabelled: NDArray, n_tasks: int, n_rows: int, n_samples: int
) -> None:
    if len(unlabelled):
        if n_rows < n_samples:
            remedy = "Use a larger max_samples."
        else:
            remedy = "Drop these columns, or add labels."
        warn(
            f"{len(unlabelled)} of {n_tasks} tasks have no label of positive weight in "
            f"the {n_rows} measured rows: {shorten(unlabelled)}. Their affinities are "
            f"NaN. {remedy}"
        )

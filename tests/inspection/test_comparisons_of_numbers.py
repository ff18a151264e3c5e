"""Comparisons and affinities of tasks of numbers, and of classes beside numbers."""

from typing import ClassVar

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from _estimators import small_network
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skmtl import MultiTaskNet, MultiTaskNetRegressor
from skmtl._targets import as_codes_by_rank
from skmtl.inspection import (
    CapacityCurveDisplay,
    LabelCurveDisplay,
    TaskAffinityDisplay,
    TrainingCurveDisplay,
    TransferGainDisplay,
    capacity_curve,
    label_curve,
    task_affinity,
    transfer_gain,
)
from skmtl.inspection._comparison import encode_for, repeated_splits
from skmtl.inspection._task_affinity import _look
from skmtl.metrics import multitask_scorer

matplotlib.use("Agg")

SETTINGS = {"n_members": 1, "max_iter": 3}
BOTH = {"class": "roc_auc_ovr", "number": "r2"}
ONCE = {"cv": 2, "n_repeats": 1, "random_state": 0}


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def numbers():
    """X (60, 5) and Y (60, 3) of numbers of different units, a quarter missing."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 5))
    Y = X @ rng.normal(size=(5, 3)) * [1, 1000, 0.01] + [0, 5000, 0]
    Y[rng.random(Y.shape) < 0.25] = np.nan
    return X, Y


@pytest.fixture
def mixed(numbers):
    """The first task is a class, the others are numbers."""
    X, Y = (array.copy() for array in numbers)
    Y[:, 0] = np.where(np.isnan(Y[:, 0]), np.nan, Y[:, 0] > 0)
    return X, Y


def regressor(**changes):
    return MultiTaskNetRegressor((8,), **(SETTINGS | changes))


def mixed_net(**changes):
    return MultiTaskNet((8,), **(SETTINGS | changes))


class KeptFits:
    """An estimator that remembers its clones' fits: all that were made from it."""

    fits: ClassVar[list] = []

    def fit(self, X, y):
        super().fit(X, y)
        self.fits.append((self, y))
        return self


class KeptRegressor(KeptFits, MultiTaskNetRegressor):
    pass


class KeptNet(KeptFits, MultiTaskNet):
    pass


@pytest.fixture
def fits():
    KeptFits.fits.clear()
    yield KeptFits.fits
    KeptFits.fits.clear()


# Scores and splits ------------------------------------------------------------------


def score_by_hand(model, X, Y, task):
    """ROC AUC of a class, R2 of a number, on the observed rows."""
    rows = pd.notna(Y[:, task])
    truth = Y[rows, task].astype(float)
    if isinstance(model, MultiTaskNet) and model.classes_[task] is not None:
        return roc_auc_score(truth, model.predict_proba(X[rows])[task][:, 1])
    return r2_score(truth, model.predict(X[rows])[:, task].astype(float))


@pytest.mark.parametrize("kind", ["numbers", "mixed"])
def test_gains_are_those_of_a_loop_of_fits(request, kind):
    X, Y = request.getfixturevalue(kind)
    net = regressor() if kind == "numbers" else mixed_net()
    pairs = list(ShuffleSplit(3, test_size=0.4, random_state=0).split(X))
    result = transfer_gain(net, X, Y, cv=pairs, n_repeats=1, random_state=0)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    for sharing, scores in [
        ("hard", result.joint_scores),
        ("none", result.separate_scores),
    ]:
        for (train, test), row in zip(pairs, scores, strict=True):
            model = clone(net).set_params(sharing=sharing, random_state=seed)
            model.fit(X[train], Y[train])
            expected = [score_by_hand(model, X[test], Y[test], t) for t in range(3)]
            assert_allclose(row, expected, rtol=1e-5)
    assert_array_equal(result.table["n_labelled"], np.isfinite(Y).sum(axis=0))
    assert result.table["n_scored"].tolist() == [3, 3, 3]
    assert result.scoring == ("r2" if kind == "numbers" else "roc_auc_ovr and r2")
    assert result.scoring in repr(result)


def test_the_default_metric_is_that_of_the_types(numbers, mixed):
    (X, Y), (_, values) = mixed, numbers
    classes = np.where(np.isnan(values), np.nan, np.nanmedian(values, axis=0) < values)
    for net, y, metric in [
        (regressor(), Y[:, 1:], "r2"),
        (mixed_net(), Y[:, 1:], "r2"),
        (mixed_net(), classes, "roc_auc_ovr"),
        (small_network(8, max_iter=3), classes, "roc_auc_ovr"),
        (mixed_net(), Y, BOTH),
    ]:
        default = transfer_gain(net, X, y, **ONCE)
        for scoring in (metric, multitask_scorer(metric)):
            result = transfer_gain(net, X, y, scoring=scoring, **ONCE)
            assert result.scoring == default.scoring
            assert_array_equal(result.joint_scores, default.joint_scores)


def test_a_metric_of_one_type_leaves_the_other_tasks_out(mixed):
    result = transfer_gain(mixed_net(), *mixed, scoring={"number": "r2"}, **ONCE)
    assert result.table["n_scored"].tolist() == [0, 2, 2]
    assert result.scoring == "r2"
    assert np.isnan(result.table["gain"].iloc[0])


@pytest.mark.parametrize("scoring", ["r2", "roc_auc"])
def test_one_metric_is_refused_for_both_types(mixed, scoring):
    with pytest.raises(ValueError, match="Pass a mapping such as"):
        transfer_gain(mixed_net(), *mixed, scoring=scoring, **ONCE)


def test_splits_take_whole_numbers_for_what_the_network_does(numbers):
    """As classes, the rare values of the counts would be too few for the folds."""
    X, _ = numbers
    Y = np.column_stack([np.arange(60) % 7, np.where(np.arange(60) < 58, 0, 5)])
    tasks = encode_for(regressor(), Y).tasks
    assert len(repeated_splits(5, X, Y, tasks, 1, 0)) == 5
    assert transfer_gain(regressor(), X, Y, **ONCE).scoring == "r2"
    tasks = encode_for(small_network(4), Y).tasks
    with pytest.warns(UserWarning, match="fewer labels"):
        repeated_splits(5, X, Y, tasks, 1, 0)


def test_types_are_those_of_all_rows(mixed):
    """Also if the training rows of a split have whole numbers only."""
    X, Y = mixed
    Y[:, 1] = np.arange(60) % 4
    Y[0, 1] = 0.5
    rows = np.arange(60)
    cv = [(rows[20:], rows[:20])]
    settings = {"cv": cv, "n_repeats": 1, "random_state": 0}
    gain = transfer_gain(mixed_net(), X, Y, **settings)
    told = {"task_0": "class", "task_1": "number", "task_2": "number"}
    expected = transfer_gain(mixed_net(task_types=told), X, Y, **settings)
    assert_array_equal(gain.joint_scores, expected.joint_scores)
    for task in told:
        curve = label_curve(mixed_net(), X, Y, task, n_labels=[8], cv=cv)
        assert curve.table["n_scored"].tolist() == [1]


def test_values_that_are_too_few_to_score_are_named(mixed):
    X, Y = mixed
    Y[30:, 1] = np.nan
    Y[40, 1] = 5.5
    Y[30:, 0] = 1
    rows = np.arange(60)
    settings = {"cv": [(rows[:30], rows[30:])], "n_repeats": 1, "random_state": 0}
    with (
        pytest.warns(
            UserWarning, match=r"r2 .* 1 of 2 .*no two different.*\['task_1'\]"
        ),
        pytest.warns(
            UndefinedMetricWarning,
            match=r"roc_auc_ovr .* 1 of 1 tasks .*one class.*\['task_0'\]",
        ) as seen,
    ):
        result = transfer_gain(mixed_net(), X, Y, **settings)
    assert {warning.filename for warning in seen} == {__file__}
    assert result.table["n_scored"].tolist() == [0, 0, 1]
    with pytest.warns(UndefinedMetricWarning, match=r"in 1 of 1 splits.*no value"):
        curve = label_curve(
            mixed_net(), X, Y, "task_1", n_labels=[4], cv=[*settings["cv"]]
        )
    assert np.isnan(curve.joint_scores).all()


@pytest.mark.parametrize("kind", ["numbers", "mixed"])
def test_each_size_is_a_transfer_gain(request, kind):
    X, Y = request.getfixturevalue(kind)
    net = make_pipeline(
        StandardScaler(), regressor() if kind == "numbers" else mixed_net()
    )
    curve = capacity_curve(net, X, Y, sizes=[2, (4, 4)], cv=2, random_state=0)
    name = f"{net.steps[-1][0]}__hidden_layer_sizes"
    for size, result in zip([(2,), (4, 4)], curve.results, strict=True):
        alone = transfer_gain(clone(net).set_params(**{name: size}), X, Y, **ONCE)
        assert_array_equal(result.joint_scores, alone.joint_scores)
        assert_array_equal(result.separate_scores, alone.separate_scores)
        assert result.scoring == alone.scoring


def test_parameters_are_checked_before_anything_is_read(mixed):
    for compare in (transfer_gain, task_affinity):
        with pytest.raises(ValueError, match="The 'task_types' parameter"):
            compare(mixed_net(task_types="numbers"), *mixed)


# Labels of a task alone ---------------------------------------------------------------


@pytest.mark.parametrize("task", ["task_0", "task_2"])
@pytest.mark.parametrize("kind", ["numbers", "mixed"])
def test_scores_are_those_of_two_fits_by_hand(request, kind, task):
    X, Y = request.getfixturevalue(kind)
    net = regressor() if kind == "numbers" else mixed_net()
    (pair,) = ShuffleSplit(1, test_size=0.5, random_state=0).split(X)
    position = int(task[-1])
    own = np.isfinite(Y[pair[0], position])
    n = int(own.sum())  # all labels: nothing is drawn
    curve = label_curve(net, X, Y, task, n_labels=[n], cv=[pair], random_state=0)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    train, test = pair
    joint = clone(net).set_params(random_state=seed).fit(X[train], Y[train])
    n_rows = np.isfinite(Y[train]).any(axis=1).sum()
    alone = clone(net).set_params(random_state=seed, max_iter=-(-3 * n_rows // n))
    alone.fit(X[train][own], Y[train][own][:, [position]])
    expected = [
        score_by_hand(joint, X[test], Y[test], position),
        score_by_hand(alone, X[test], Y[test][:, [position]], 0),
    ]
    found = [curve.joint_scores[0, 0], curve.alone_scores[0, 0]]
    assert_allclose(found, expected, rtol=1e-5)
    is_class = kind == "mixed" and task == "task_0"
    assert curve.scoring == ("roc_auc_ovr" if is_class else "r2")


def test_so_many_numbers_are_kept_and_the_few_are_among_the_many(numbers, fits):
    X, Y = numbers
    net = KeptRegressor((8,), **SETTINGS)
    (pair,) = ShuffleSplit(1, test_size=0.3, random_state=0).split(X)
    sizes = [2, 5, 10, 20]
    label_curve(net, X, Y, "task_1", n_labels=sizes, cv=[pair], random_state=0)
    train = Y[pair[0]]
    fifth = as_codes_by_rank(train[:, 1], 5)
    share = np.bincount(fifth[fifth >= 0]) / (fifth >= 0).sum()
    earlier = np.zeros(len(train), dtype=bool)
    for i, n in enumerate(sizes):
        (_, joint), (_, alone) = fits[2 * i : 2 * i + 2]
        kept = np.isfinite(joint[:, 1])
        assert kept.sum() == n
        assert (kept | ~earlier).all()
        assert_array_equal(joint[kept, 1], train[kept, 1])
        assert_array_equal(joint[:, [0, 2]], train[:, [0, 2]])
        assert_array_equal(np.sort(alone[:, 0]), np.sort(train[kept, 1]))
        counts = np.bincount(fifth[kept], minlength=5)
        assert (np.abs(counts - n * share) <= 1).all()
        earlier = kept


@pytest.mark.parametrize("is_named", [False, True])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_alone_the_network_has_the_parameters_of_its_task(
    mixed, fits, is_named, position
):
    X, Y = mixed
    Y = np.where(np.isnan(Y), np.nan, np.abs(Y))
    names = ["a", "b", "c"] if is_named else ["task_0", "task_1", "task_2"]
    a, b, c = names
    y = pd.DataFrame(Y, columns=names) if is_named else Y
    root = FunctionTransformer(np.sqrt, np.square)
    net = KeptNet(
        (8,),
        task_types={a: "class", b: "number", c: "number"},
        transformer={b: root},
        task_weight={a: 2.0, c: 0.5},
        class_weight={a: {0: 3.0}},
        main_tasks=[a, c],
        **SETTINGS,
    )
    name = names[position]
    label_curve(net, X, y, name, n_labels=[8], cv=2, random_state=0)
    alone = fits[1][0]
    own = name if is_named else "task_0"
    assert alone.task_names_.tolist() == [own]
    assert alone.task_types == {own: net.task_types[name]}
    assert alone.main_tasks is None
    for parameter in ("transformer", "task_weight", "class_weight"):
        given = getattr(net, parameter)
        found = getattr(alone, parameter)
        assert list(found) == ([own] if name in given else [])
    if position == 1:
        assert isinstance(alone._tasks.targets[0].transformer, FunctionTransformer)
    assert net.main_tasks == [a, c]


def test_an_array_and_its_frame_give_the_same_curve(mixed):
    X, Y = mixed
    names = ["task_0", "task_1", "task_2"]
    net = mixed_net(task_weight={"task_1": 2.0, "task_2": 0.5})
    settings = {"n_labels": [6], "cv": 2, "random_state": 0}
    for task in names:
        plain = label_curve(net, X, Y, task, **settings)
        named = label_curve(net, X, pd.DataFrame(Y, columns=names), task, **settings)
        assert_array_equal(named.joint_scores, plain.joint_scores)
        assert_array_equal(named.alone_scores, plain.alone_scores)


def test_weights_by_name_of_an_array_of_classes(problem):
    X, Y = problem
    clf = small_network(4, max_iter=2, class_weight={"task_2": {0: 2.0, 1: 1.0}})
    curve = label_curve(clf, X, Y, "task_2", n_labels=[8], cv=2, random_state=0)
    assert curve.table["n_scored"].tolist() == [2]


def test_numbers_need_two_labels(numbers):
    X, Y = numbers
    for n_labels in ([1], [1000]):
        with pytest.raises(ValueError, match="at least 2 for numbers, and at most"):
            label_curve(regressor(), X, Y, "task_0", n_labels=n_labels)
    with pytest.warns(UserWarning, match="has numbers and at most .* left out"):
        label_curve(regressor(), X, Y, "task_0", cv=2)
    Y[1:, 0] = np.nan
    with (
        pytest.warns(UserWarning, match="1 of 3 tasks have a single value"),
        pytest.raises(ValueError, match=r"at least 2 labels .*numbers; got 1"),
    ):
        label_curve(regressor(), X, Y, "task_0", cv=2)


def test_a_metric_of_the_other_type_is_refused_for_a_curve(numbers, mixed):
    with pytest.raises(ValueError, match=r"'task_0', 'number'; got accuracy. Pass"):
        label_curve(regressor(), numbers[0], mixed[1], "task_0", scoring="accuracy")
    with pytest.raises(ValueError, match=r"'task_0', 'class'; got r2. Pass"):
        label_curve(mixed_net(), *mixed, "task_0", scoring={"number": "r2"})


def test_a_scorer_of_some_tasks_scores_the_one_of_the_curve(numbers):
    settings = {"n_labels": [6], "cv": 2, "random_state": 0}
    scorer = multitask_scorer("r2", tasks=["task_1"])
    one, other = (
        label_curve(regressor(), *numbers, "task_1", scoring=scoring, **settings)
        for scoring in ("r2", scorer)
    )
    assert_array_equal(one.alone_scores, other.alone_scores)


# Affinities -------------------------------------------------------------------------


def plain_losses(network, features, Y, loss, is_class):
    """Mean loss of each task, of heads of one layer, by the textbook."""
    heads = iter([p.double() for head in network.heads for p in head.parameters()])
    losses = [None] * Y.shape[1]
    for group in network.groups:
        weight, bias = next(heads), next(heads)  # (members, width, tasks, outputs)
        out = torch.einsum("mnh,mhtk->mntk", features, weight) + bias
        for k, task in enumerate(group.tasks):
            rows, z = ~Y[:, task].isnan(), out[..., k, :]
            target, z = Y[rows, task], z[:, rows]
            if is_class[task]:
                per_row = torch.nn.functional.binary_cross_entropy_with_logits(
                    z[..., 0], target.expand(len(z), -1), reduction="none"
                )
            elif loss == "gaussian":
                variance = torch.nn.functional.softplus(
                    z[..., 1] + np.log(np.e - 1)
                ).add(1e-4)
                per_row = (variance.log() + (z[..., 0] - target) ** 2 / variance) / 2
            elif loss == "absolute_error":
                per_row = (z[..., 0] - target).abs()
            else:
                per_row = (z[..., 0] - target) ** 2 / 2
            losses[task] = per_row.mean()
    return torch.stack(losses)


@pytest.mark.parametrize("kind", ["numbers", "mixed"])
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "gaussian"])
def test_the_last_look_by_plain_torch(request, kind, loss):
    X, Y = request.getfixturevalue(kind)
    settings = {"activation": "tanh", "loss": loss, "input_encoding": "none"}
    settings |= {"dropout": 0, "input_dropout": 0, "n_members": 2, "random_state": 0}
    net = (regressor if kind == "numbers" else mixed_net)(**settings)
    found = task_affinity(net, X, Y)
    network = found.estimator.network_
    is_class = [kind == "mixed", False, False]
    scaled = (Y - np.nanmean(Y, axis=0)) / np.nanstd(Y, axis=0)
    Z = torch.tensor(np.where(is_class, Y, scaled))
    trunk = [p.detach().double().requires_grad_() for p in network.trunk.parameters()]

    def losses(weight, bias):
        z = torch.einsum("ni,imh->mnh", torch.tensor(X), weight[0])
        features = torch.tanh(z + bias[0, 0][:, None])
        return plain_losses(network, features, Z, loss, is_class)

    before = losses(*trunk)
    length = torch.cat([p.flatten() for p in trunk]).norm()
    for i in range(3):
        gradient = torch.autograd.grad(before[i], trunk, retain_graph=True)
        step = 0.01 * length / torch.cat([p.flatten() for p in gradient]).norm()
        after = losses(*(p - step * g for p, g in zip(trunk, gradient, strict=True)))
        expected = ((before - after) / before.abs()).detach()
        assert_allclose(found.lookahead_by_epoch[-1, i], expected, rtol=1e-3, atol=2e-6)


@pytest.mark.parametrize("loss", ["squared_error", "gaussian"])
def test_a_task_does_to_its_double_what_it_does_to_itself(numbers, loss):
    X, Y = numbers
    Y = np.column_stack([Y[:, :2], Y[:, 0]])
    net = regressor(loss=loss, random_state=0).fit(X, Y)
    net.network_.take_task(2, net.network_, 0)  # the same head
    look = _look(net, X, Y, 3)
    for measure in (look.lookahead, look.cosine, look.colabelled_cosine):
        assert_allclose(measure[2], measure[0], rtol=1e-5)
        assert_allclose(measure[:, 2], measure[:, 0], rtol=1e-5)
    assert look.lookahead[0, 0] > 0
    assert_allclose([look.cosine[0, 2], look.colabelled_cosine[0, 2]], 1)
    assert look.n_colabelled[0, 2] == look.n_colabelled[0, 0]


def test_a_step_lowers_a_loss_below_zero():
    """The density of a number that is known precisely is above 1."""
    X = np.random.default_rng(0).normal(size=(300, 2))
    Y = np.column_stack([X[:, 0], X[:, 1]])
    settings = {"loss": "gaussian", "early_stopping": True, "max_iter": 60}
    settings |= {"learning_rate_init": 0.01, "random_state": 0}
    found = task_affinity(regressor(**settings), X, Y)
    assert (found.estimator.task_validation_scores_[-1] > 0).all()
    own = np.diagonal(found.lookahead_by_epoch, axis1=1, axis2=2)
    assert (own > 0).all()


@pytest.mark.parametrize("kind", ["numbers", "mixed"])
def test_what_holds_for_every_network(request, kind):
    X, Y = request.getfixturevalue(kind)
    net = regressor() if kind == "numbers" else mixed_net()
    found = task_affinity(make_pipeline(StandardScaler(), net), X, Y)
    own = np.diagonal(found.lookahead_by_epoch, axis1=1, axis2=2)
    assert (own > 0).all()
    for cosine in (found.cosine_by_epoch, found.colabelled_cosine_by_epoch):
        assert_allclose(cosine, cosine.transpose(0, 2, 1), atol=1e-12)
        assert_allclose(np.diagonal(cosine, axis1=1, axis2=2), 1.0)
    is_labelled = np.isfinite(Y).astype(int)
    assert_array_equal(found.n_colabelled, is_labelled.T @ is_labelled)
    names = [name for group in found.groups() for name in group]
    assert sorted(names) == ["task_0", "task_1", "task_2"]


def test_a_constant_number_is_known_and_stands_alone_at_worst(numbers):
    X, Y = numbers
    Y[:, 1] = 7.5
    with pytest.warns(UserWarning, match="one value only"):
        found = task_affinity(regressor(random_state=0), X, Y)
    others = np.ix_([0, 2], [0, 2])
    assert np.isfinite(found.lookahead[others]).all()
    assert "task_1" in repr(found)


# Plots ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["numbers", "mixed"])
def test_results_of_numbers_are_drawn(request, kind):
    X, Y = request.getfixturevalue(kind)
    net = regressor() if kind == "numbers" else mixed_net()
    metric = "r2" if kind == "numbers" else "roc_auc_ovr and r2"
    display = TransferGainDisplay.from_estimator(net, X, Y, **ONCE)
    assert display.ax_.get_xlabel() == f"gain in {metric} from joint training"
    display = CapacityCurveDisplay.from_estimator(net, X, Y, sizes=[2, 4], cv=2)
    assert metric in display.ax_.get_ylabel()
    display = LabelCurveDisplay.from_estimator(
        net, X, Y, "task_1", n_labels=[5, 9], cv=2
    )
    assert display.ax_.get_ylabel() == "r2"
    assert TaskAffinityDisplay.from_estimator(net, X, Y).ax_.images
    net.set_params(early_stopping=True).fit(X, Y)
    display = TrainingCurveDisplay.from_estimator(net, per_task=True)
    labels = {line.get_label() for line in display.axes_[1].lines}
    assert {"task_0", "task_1", "task_2", "mean over tasks"} <= labels
    display.figure_.draw_without_rendering()

from itertools import product

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from _estimators import small_network
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, ShuffleSplit
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskNetClassifier
from skmtl.datasets import make_multitask_classification
from skmtl.inspection import TransferGainDisplay, transfer_gain
from skmtl.inspection._comparison import corrected_gain, parameter_prefix
from skmtl.metrics import multitask_score, multitask_scorer
from skmtl.sharing import NoSharing

matplotlib.use("Agg")


@pytest.mark.slow
def test_unrelated_tasks_are_hardly_ever_said_to_gain():
    said = []
    for seed in range(10):
        X, Y = make_multitask_classification(
            300, 6, relatedness=0.0, n_hidden=1, random_state=seed
        )
        result = transfer_gain(small_network(16), X, Y, n_repeats=1, random_state=seed)
        said += list(result.table["verdict"])
    assert said.count("helps") <= 0.05 * len(said)


def test_most_of_many_related_tasks_with_few_labels_gain():
    X, Y = make_multitask_classification(
        600, 10, 8, n_hidden=1, missing_rate=0.7, random_state=1
    )
    clf = small_network(32, max_iter=15, learning_rate_init=0.04)
    result = transfer_gain(clf, X, Y, n_repeats=2, random_state=0)
    assert len(result.tasks_with("helps")) > 4
    assert result.mean_gain[1] > 0
    table = result.table
    assert_array_equal(table["verdict"] == "helps", table["ci_low"] > 0)
    unsure = table[table["verdict"] == "cannot tell"]
    assert (unsure["gain"] > 0).any(), "or nothing tells a gain from a sure one"


def test_a_contradiction_hurts_where_the_trunk_is_tiny():
    X, Y = make_multitask_classification(400, 4, 3, n_contradictory=1, random_state=1)
    clf = small_network(2, max_iter=20)
    result = transfer_gain(clf, X, Y, n_repeats=1, random_state=0)
    assert result.tasks_with("hurts")
    assert_array_equal(result.table["verdict"] == "hurts", result.table["ci_high"] < 0)


def test_the_corrected_test_by_hand():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.1, 0.2, size=(10, 3))
    differences[:4, 1] = np.nan
    differences[1:, 2] = np.nan
    gain = corrected_gain(differences, 0.25)
    assert_array_equal(gain.n_scored, [10, 6, 1])
    for task in range(2):
        d = differences[np.isfinite(differences[:, task]), task]
        error = np.sqrt((1 / len(d) + 0.25) * d.var(ddof=1))
        t = d.mean() / error
        p = 2 * stats.t.sf(abs(t), len(d) - 1)
        assert_allclose(gain.p_value[task], p)
        interval = stats.t.interval(0.95, len(d) - 1, d.mean(), error)
        assert_allclose((gain.low[task], gain.high[task]), interval)
        assert (p < 0.05) == (gain.low[task] > 0 or gain.high[task] < 0)
    assert_allclose(gain.mean[2], differences[0, 2])
    assert np.isnan([gain.low[2], gain.high[2], gain.p_value[2]]).all()


def test_chance_is_called_a_gain_as_often_as_it_says():
    """Means of folds that are independent: the plain t-test, whose level is exact."""
    rng = np.random.default_rng(0)
    gain = corrected_gain(rng.normal(size=(15, 20000)), 0.0)
    # Three standard errors of a share of 20,000.
    assert_allclose((gain.low > 0).mean(), 0.025, atol=0.0034)


@pytest.mark.parametrize(
    "differences",
    [
        np.zeros(5),
        np.full(5, 0.5),
        1 / np.array([3, 3, 3]) - np.array([0, 1e-17, 0]),
        [2 / 3 - 1 / 3, 1 - 2 / 3, 1 / 3 - 0],  # equal but for rounding
        [0.1, 0.2],
        [0.1, np.nan, 0.2, np.nan],
        [0.1],
    ],
)
def test_without_a_spread_there_is_no_certainty(differences):
    gain = corrected_gain(np.reshape(differences, (-1, 1)), 0.25)
    assert_allclose(gain.mean, np.nanmean(differences))
    assert np.isnan([gain.low, gain.high, gain.p_value]).all()


@pytest.mark.filterwarnings(
    # Six labels cannot always be spread over three folds.
    "ignore:roc_auc_ovr is undefined:sklearn.exceptions.UndefinedMetricWarning"
)
def test_one_test_label_of_each_class_never_tells():
    """The AUC is 0, 1/2 or 1 then, and three such gains are the same or far apart."""
    steps = (-1, -0.5, 0, 0.5, 1)
    every = corrected_gain(np.array([*product(steps, repeat=3)]).T, 0.5)
    assert not (every.low > 0).any()
    assert not (every.high < 0).any()
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(60, 4)), np.full((60, 24), np.nan)
    for column in Y.T:
        column[rng.permutation(60)[:6]] = [0, 0, 0, 1, 1, 1]
    clf = small_network(8, max_iter=5)
    result = transfer_gain(clf, X, Y, cv=3, n_repeats=1, random_state=0)
    gains = result.joint_scores - result.separate_scores
    assert np.isin(gains[np.isfinite(gains)], steps).all()
    assert set(result.table["verdict"]) == {"cannot tell"}


def test_two_splits_are_too_few_for_a_verdict(problem):
    result = transfer_gain(
        small_network(4, max_iter=2), *problem, cv=2, n_repeats=1, random_state=0
    )
    assert set(result.table["verdict"]) == {"cannot tell"}
    assert np.isnan(result.table["p_value"]).all()
    assert np.isnan(result.mean_gain[1:]).all()


def test_scores_are_those_of_two_fits_by_hand(problem):
    X, Y = problem
    clf = small_network(8, max_iter=5)
    pairs = list(ShuffleSplit(2, test_size=0.4, random_state=0).split(X))
    result = transfer_gain(
        clf, X, Y, cv=pairs, scoring="neg_log_loss", n_repeats=1, random_state=0
    )
    seed = np.random.RandomState(0).randint(2**31 - 1)
    for sharing, scores in [
        ("hard", result.joint_scores),
        ("none", result.separate_scores),
    ]:
        for (train, test), row in zip(pairs, scores, strict=True):
            model = clone(clf).set_params(sharing=sharing, random_state=seed)
            p = model.fit(X[train], Y[train]).predict_proba(X[test])
            expected = multitask_score("neg_log_loss", Y[test], p, average=None)
            assert_allclose(row, expected, rtol=1e-5)
    assert_allclose(
        result.table["gain"], (result.joint_scores - result.separate_scores).mean(0)
    )


@pytest.mark.parametrize(
    "pair",
    [
        ([0, 1, 2], []),
        ([], [0, 1, 2]),
        ([0.0, 1.0], [2.0]),
        ([0, 1], [60]),
        ([0, 1], [-1]),
        (slice(0, 40), slice(40, 60)),
        ([True] * 59, [False] * 59),
        "ab",
    ],
    ids=str,
)
def test_splits_of_no_rows_are_refused(problem, pair):
    message = "pairs of training and test rows.* from 0 to 59 .*; got .* Pass such"
    with pytest.raises(ValueError, match=message):
        transfer_gain(small_network(4), *problem, cv=[pair])


def test_scores_are_of_splits_in_which_both_networks_have_one(problem):
    """A metric may be undefined for the predictions of one of them."""

    def of_early_rows(y, predicted):
        return np.nan if predicted[0] else (y == predicted).mean()

    cv = KFold(12)  # scikit-learn's, so that few splits have a score of both
    with pytest.warns(UndefinedMetricWarning):
        result = transfer_gain(
            small_network(4, max_iter=2),
            *problem,
            cv=cv,
            n_repeats=1,
            scoring=of_early_rows,
            random_state=0,
        )
    is_scored = np.isfinite([result.joint_scores, result.separate_scores])
    assert (is_scored[0] != is_scored[1]).any()
    table = result.table
    assert_allclose(table["joint"] - table["separate"], table["gain"])


@pytest.mark.parametrize("scoring", [5, ["roc_auc"], {"auc": "roc_auc"}])
def test_what_is_no_metric_is_refused(problem, scoring):
    with pytest.raises(TypeError, match=r"scoring must be the name.*; got .*Pass one"):
        transfer_gain(small_network(4), *problem, scoring=scoring)


def test_splits_as_masks_are_those_of_their_rows(problem):
    pairs = list(KFold(3).split(problem[0]))
    masks = [[np.isin(np.arange(60), rows) for rows in pair] for pair in pairs]
    by_number, by_mask = (
        transfer_gain(
            small_network(4, max_iter=3), *problem, cv=cv, n_repeats=1, random_state=0
        )
        for cv in (pairs, masks)
    )
    assert_array_equal(by_mask.joint_scores, by_number.joint_scores)
    for name in ("ci_low", "ci_high", "p_value"):
        assert_array_equal(by_mask.table[name], by_number.table[name])
    assert by_mask.mean_gain == by_number.mean_gain


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_pipeline_beside_pandas_says_the_same(problem, n_jobs):
    X, Y = problem
    names = ["b", "a", "mean"]
    frame = pd.DataFrame(Y, columns=names)
    clf = small_network(8, max_iter=5)
    settings = {"cv": 3, "n_repeats": 2, "random_state": 0}
    plain = transfer_gain(clf, StandardScaler().fit_transform(X), Y, **settings)
    piped = transfer_gain(
        make_pipeline(StandardScaler(), clf),
        pd.DataFrame(X),
        frame,
        n_jobs=n_jobs,
        **settings,
    )
    assert piped.table.index.tolist() == names
    assert plain.joint_scores.shape == piped.joint_scores.shape == (6, 3)
    # The scaler of the pipeline sees other rows: nearly the same, and not by chance.
    assert_allclose(piped.table["gain"], plain.table["gain"], atol=0.2)
    assert_array_equal(piped.table["n_labelled"], frame.notna().sum())


@pytest.mark.parametrize("name", ["pretrained", "pretrained_net", "net"])
def test_the_network_is_found_by_what_it_is_and_not_by_its_name(problem, name):
    source = FrozenEstimator(small_network(4, max_iter=1).fit(*problem))
    clf = small_network(4, max_iter=1, pretrained=source)
    model = Pipeline([("scale", StandardScaler()), (name, clf)])
    assert parameter_prefix(clf) == ""
    assert parameter_prefix(model) == f"{name}__"
    nested = Pipeline([("inner", model)])
    assert parameter_prefix(nested) == f"inner__{name}__"


def test_same_seed_same_result_and_the_estimator_is_left_alone(problem):
    clf = small_network(8, max_iter=3)
    before = clf.get_params()
    one, other = (
        transfer_gain(clf, *problem, cv=2, n_repeats=2, random_state=0)
        for _ in range(2)
    )
    assert_array_equal(one.joint_scores, other.joint_scores)
    assert clf.get_params() == before
    assert not hasattr(clf, "network_")


def test_several_classes_and_another_scorer(mixed_problem):
    clf = small_network(8, max_iter=3)
    result = transfer_gain(
        clf,
        *mixed_problem,
        cv=2,
        n_repeats=1,
        scoring=multitask_scorer("accuracy"),
        random_state=0,
    )
    assert result.scoring == "accuracy"
    assert ((result.joint_scores >= 0) & (result.joint_scores <= 1)).all()
    default = transfer_gain(clf, *mixed_problem, cv=2, n_repeats=1, random_state=0)
    assert np.isfinite(default.joint_scores).all()


def test_tasks_that_cannot_be_scored_are_named():
    X, Y = make_multitask_classification(60, 4, 3, random_state=0)
    Y[:, 1] = np.nan
    Y[0, 1], Y[1, 1] = 0, 1
    with (
        pytest.warns(UndefinedMetricWarning, match=r"1 of 3 tasks .*\['task_1'\]"),
        pytest.warns(UserWarning, match="fewer labels"),
        pytest.warns(UserWarning, match="one class only"),
    ):
        result = transfer_gain(
            small_network(4, max_iter=2), X, Y, cv=2, n_repeats=1, random_state=0
        )
    assert result.table["n_scored"].tolist() == [2, 0, 2]
    assert result.table["verdict"].iloc[1] == "cannot tell"
    assert np.isnan(result.table["gain"].iloc[1])
    assert_allclose(result.mean_gain[0], np.nanmean(result.table["gain"]))


@pytest.mark.parametrize(
    ("estimator", "Y", "settings", "message"),
    [
        (small_network(4, sharing="none"), 2, {}, "must share layers"),
        (small_network(4, sharing=NoSharing()), 2, {}, "must share layers"),
        (small_network(), 2, {}, r"must share layers.*hidden_layer_sizes=\(\)"),
        (GridSearchCV(small_network(4), {}), 2, {}, "GridSearchCV.*best_estimator_"),
        (
            make_pipeline(StandardScaler(), GridSearchCV(small_network(4), {})),
            2,
            {},
            "not a search.*GridSearchCV",
        ),
        ("net", 2, {}, "must be a skmtl estimator.*got 'net'"),
        (None, 2, {}, "must be a skmtl estimator.*got None"),
        (MultiTaskNetClassifier, 2, {}, "must be a skmtl estimator.*got <class"),
        (make_pipeline(small_network(4), small_network(4)), 2, {}, "with 2: "),
        (StandardScaler(), 2, {}, "must be a skmtl estimator"),
        (small_network(4), 1, {}, "at least two tasks"),
        (small_network(4), 2, {"cv": "five"}, "Expected `cv` as an integer"),
        (small_network(4), 2, {"cv": []}, "cv must make at least one split"),
        (small_network(4), 2, {"cv": GroupKFold(3)}, r"cv.split\(X, y, groups\)"),
        (small_network(4), 2, {"cv": [([True], [True])]}, "a mask of 20 booleans"),
        (small_network(4), 2, {"n_repeats": 0}, "n_repeats must be a whole number"),
    ],
)
def test_errors(estimator, Y, settings, message):
    X = np.random.default_rng(0).normal(size=(20, 2))
    with pytest.raises(ValueError, match=message):
        transfer_gain(estimator, X, (X > 0)[:, :Y], **settings)


def test_an_unknown_verdict_is_refused(problem):
    result = transfer_gain(small_network(4, max_iter=1), *problem, cv=2, n_repeats=1)
    with pytest.raises(ValueError, match="verdict must be one of"):
        result.tasks_with("maybe")
    shown = repr(result)
    assert "mean gain" in shown
    assert "task_2" in shown


def test_the_display_shows_each_task_once_in_the_order_of_gain(problem):
    result = transfer_gain(
        small_network(4, max_iter=3), *problem, cv=2, n_repeats=1, random_state=0
    )
    figure, ax = plt.subplots()
    display = TransferGainDisplay.from_result(result, ax=ax)
    assert display.figure_ is figure
    shown = sorted(
        (y, x)
        for container in ax.containers
        for x, y in zip(*container.lines[0].get_data(), strict=True)
    )
    gain = np.sort(result.table["gain"])
    assert_allclose([x for _, x in shown], gain)
    names = [label.get_text() for label in ax.get_yticklabels()]
    order = np.argsort(result.table["gain"].to_numpy())
    assert names == result.task_names[order].tolist()
    plt.close("all")

import builtins
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from _estimators import small_network
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    r2_score,
    roc_auc_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmtl
from skmtl import MultiTaskNet, MultiTaskNetRegressor
from skmtl._report._charts import ticks
from skmtl._report._held_out import TaskHeldOut
from skmtl._report._importance import with_shuffled
from skmtl._report._scores import (
    bootstrap_interval,
    mean_auc,
    table_of_thresholds,
)
from skmtl.calibration import MultiTaskCalibratedClassifierCV
from skmtl.inspection import compare_models
from skmtl.model_selection import (
    GridSearchCV,
    MultiTaskTunedThresholdClassifierCV,
    cross_val_predict,
)
from skmtl.trunks import ConvTrunk

FOLDS = [
    (
        np.flatnonzero(np.arange(60) % 3 != fold),
        np.flatnonzero(np.arange(60) % 3 == fold),
    )
    for fold in range(3)
]


def quick(**changes):
    return small_network(8, max_iter=3, **changes)


def small_report(estimator, X, y, **settings):
    settings = {"cv": FOLDS, "models": ["joint"], "random_state": 0} | settings
    return skmtl.report(estimator, X, y, **settings)


class Tags(HTMLParser):
    """Whether every tag that is opened is closed, and what is linked."""

    void = ("meta", "link", "wbr")

    def __init__(self, html):
        super().__init__()
        self.open, self.ids, self.links, self.addresses = [], set(), set(), set()
        self.tags = []
        self.feed(html)
        self.close()

    def handle_startendtag(self, tag, attrs):
        self.note(tag, attrs)

    def handle_starttag(self, tag, attrs):
        self.note(tag, attrs)
        if tag not in self.void:
            self.open.append(tag)

    def note(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.ids.add(attrs.get("id"))
        for name in ("href", "src"):
            address = attrs.get(name, "data:")
            (self.links if address.startswith("#") else self.addresses).add(address)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def assert_sound(html):
    tags = Tags(html)
    assert not tags.open
    assert {link[1:] for link in tags.links} <= tags.ids
    assert all(address.startswith("data:") for address in tags.addresses)
    assert "script" not in tags.tags
    assert '<html lang="en">' in html
    assert '<meta charset="utf-8">' in html
    assert "nan" not in re.sub(r"<style>.*?</style>", "", html, flags=re.S).split()


def test_scores_are_those_of_scikit_learn_out_of_fold(problem):
    X, Y = problem
    result = small_report(quick(), X, Y)
    assert_sound(result.html)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    p = cross_val_predict(
        quick(random_state=seed), X, Y, cv=FOLDS, method="predict_proba"
    )
    for t in range(3):
        rows = np.isfinite(Y[:, t])
        scores = result.scores.iloc[t]
        assert_allclose(scores["roc_auc"], roc_auc_score(Y[rows, t], p[rows, t]))
        precision = average_precision_score(Y[rows, t], p[rows, t])
        assert_allclose(scores["average_precision"], precision)
        accuracy = balanced_accuracy_score(Y[rows, t], p[rows, t] > 0.5)
        assert_allclose(scores["balanced_accuracy"], accuracy)
        assert scores["roc_auc_low"] < scores["roc_auc"] < scores["roc_auc_high"]
        assert scores["n_tested"] == rows.sum()
    assert_array_equal(result.labels.observed, np.isfinite(Y))
    assert_allclose(
        result.thresholds["balanced_accuracy_at_half"],
        result.scores["balanced_accuracy"],
    )


def test_the_comparison_is_that_of_compare_models(problem):
    models = ["joint", "separate"]
    result = small_report(quick(), *problem, models=models)
    other = compare_models(quick(), *problem, cv=FOLDS, models=models, random_state=0)
    for model in models:
        assert_array_equal(result.comparison.scores[model], other.scores[model])
    assert_sound(result.html)
    assert "Gain of the joint network over separate networks" in result.html


def test_bootstrap_of_the_auc_counts_pairs():
    rng = np.random.RandomState(0)
    y = rng.randint(2, size=80)
    p = np.round(rng.rand(80), 1)  # with ties
    two = np.column_stack([1 - p, p])
    assert_allclose(mean_auc(y, two), roc_auc_score(y, p))
    task = TaskHeldOut("a", 0, np.array([0, 1]), y, two, y, np.zeros(80))
    low, high = bootstrap_interval(task, np.random.RandomState(0))
    draws = [rng.randint(80, size=80) for _ in range(400)]
    expected = np.percentile([roc_auc_score(y[i], p[i]) for i in draws], [2.5, 97.5])
    assert_allclose([low, high], expected, atol=0.02)
    three = rng.dirichlet(np.ones(3), size=80)
    y = rng.randint(3, size=80)
    auc = roc_auc_score(y, three, multi_class="ovr")
    assert_allclose(mean_auc(y, three), auc)


def test_bootstrap_of_r2_is_that_of_drawn_rows():
    rng = np.random.RandomState(0)
    y = 1e6 + rng.normal(size=60)
    predicted = y + 0.5 * rng.normal(size=60)
    task = TaskHeldOut("a", 0, None, y, None, predicted, np.zeros(60))
    low, high = bootstrap_interval(task, np.random.RandomState(0))
    draws = [rng.randint(60, size=60) for _ in range(400)]
    expected = np.percentile([r2_score(y[i], predicted[i]) for i in draws], [2.5, 97.5])
    assert_allclose([low, high], expected, atol=0.03)


@pytest.mark.parametrize(
    "make",
    [
        np.asarray,
        sparse.csr_matrix,
        sparse.csc_array,
        lambda X: pd.DataFrame(X, index=[7, 5, 3, 1], columns=list("abc")),
        lambda X: pytest.importorskip("polars").DataFrame(X, schema=list("abc")),
        lambda X: pytest.importorskip("pyarrow").table(
            dict(zip("abc", X.T, strict=True))
        ),
    ],
    ids=["numpy", "csr", "csc", "pandas", "polars", "pyarrow"],
)
def test_one_column_is_shuffled_and_the_others_are_not(make):
    X = np.arange(12.0).reshape(4, 3)
    X[1, 1] = 0
    order = np.array([2, 0, 3, 1])
    given = make(X)
    shuffled = with_shuffled(given, 1, order)
    assert type(shuffled).__name__ == type(given).__name__ or sparse.issparse(given)
    expected = X.copy()
    expected[:, 1] = X[order, 1]
    for table, values in ((shuffled, expected), (given, X)):
        dense = table.toarray() if sparse.issparse(table) else table
        dense = dense.to_pandas() if hasattr(dense, "to_pandas") else dense
        assert_array_equal(np.asarray(dense), values)


def test_what_matters_is_what_the_labels_were_made_of():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {"noise": rng.normal(size=200), "letter": rng.choice(["a", "b"], 200)}
    )
    X["letter"] = X["letter"].astype("category")
    X[[f"column {j}" for j in range(20)]] = rng.normal(size=(200, 20))
    Y = pd.DataFrame({"first": X["column 7"] > 0, "second": X["letter"] == "b"})
    net = skmtl.MultiTaskNetClassifier((16,), n_members=1, max_iter=30, batch_size=20)
    result = small_report(net.fit(X, Y), X, Y, cv="prefit", max_columns=4)
    drops = result.importances
    assert len(drops) == 4
    assert drops["first"].idxmax() == "column 7"
    assert drops["second"].idxmax() == "letter"
    assert "4 of 22 columns were shuffled" in result.html
    assert result.comparison is None
    assert "Other models" not in result.html


def test_text_of_the_user_is_escaped(problem):
    X, Y = problem
    bad = "<script>alert('x')</script>"
    X = pd.DataFrame(X, columns=[f"{bad}{j}" for j in range(5)])
    Y = pd.DataFrame(Y, columns=[f"{bad}&{j}" for j in range(3)])
    result = small_report(quick(), X, Y, title=f"{bad}</title>")
    assert_sound(result.html)
    assert bad not in result.html
    assert "&lt;script&gt;" in result.html
    assert result._repr_html_().count("<") == 2
    assert "3 tasks" in repr(result)


def test_all_types_of_tasks(mixed_problem):
    X, Y = mixed_problem
    Y = np.column_stack([Y, X[:, 0] * 1e-9, X[:, 1] * 1e9])
    types = {f"task_{t}": "class" if t < 3 else "number" for t in range(5)}
    net = MultiTaskNet((8,), task_types=types, n_members=1, max_iter=3)
    result = small_report(net, X, Y, cv=3, models=["joint", "separate"])
    assert_sound(result.html)
    assert "Separate networks: the joint network is better in" in result.html
    assert list(result.thresholds.index) == ["task_1"]
    assert np.isfinite(result.scores["r2"][3:]).all()
    assert np.isnan(result.scores["r2"][:3]).all()


def test_numbers(problem):
    X, _ = problem
    net = MultiTaskNetRegressor((8,), n_members=1, max_iter=3, early_stopping=True)
    result = small_report(net, X, X[:, :2])
    assert_sound(result.html)
    assert "Validation score" in result.html
    assert "Thresholds" not in result.html
    assert_allclose(result.scores["rmse"] > 0, True)


def test_one_task(problem):
    X, _ = problem
    y = np.where(X[:, 0] > 0, "yes", "no")
    result = small_report(quick(), X, y, models=["network", "forest"])
    assert_sound(result.html)
    assert "MultiTaskNetClassifier, one task" in result.html
    assert result.comparison.models == ("network", "forest")
    assert "network network" not in result.html


@pytest.mark.filterwarnings("ignore:.*(one class only|no observed label|undefined)")
def test_no_task_can_be_scored(problem):
    X, _ = problem
    Y = np.column_stack([np.ones(len(X)), np.full(len(X), np.nan)])
    result = small_report(quick(), X, Y, models=["joint", "forest"])
    assert "+nan" not in result.html


@pytest.mark.parametrize(
    "wrap",
    [
        lambda net: make_pipeline(StandardScaler(), net),
        lambda net: MultiTaskTunedThresholdClassifierCV(net, cv=2),
        lambda net: MultiTaskCalibratedClassifierCV(net, cv=2),
    ],
    ids=["pipeline", "thresholds", "calibration"],
)
def test_around_the_network(problem, wrap):
    X, Y = problem
    Y = np.where(np.isnan(Y), (X[:, :3] > 0), Y)[:, :2]
    models = ["joint", "forest"]
    result = small_report(wrap(quick()), X, Y, models=models, cv=FOLDS[:1])
    assert_sound(result.html)
    assert np.isfinite(result.comparison.scores["forest"]).all()


def test_a_fitted_search_is_taken_as_it_is(problem):
    X, Y = problem
    search = GridSearchCV(quick(), {"alpha": [0.0, 1.0]}, cv=2).fit(X, Y)
    assert_sound(small_report(search, X, Y, cv="prefit").html)
    with pytest.raises(ValueError, match="not a search"):
        small_report(search, X, Y)


def test_images_have_no_columns():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 1, 4, 4)).astype(np.float32)
    Y = X[:, 0, 0, :2] > 0
    net = skmtl.MultiTaskNetClassifier(trunk=ConvTrunk((2,)), n_members=1, max_iter=1)
    result = small_report(net.fit(X, Y), X, Y, cv="prefit")
    assert result.importances is None
    assert_sound(result.html)


def test_of_many_tasks_some_are_drawn_and_all_are_in_the_tables():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    Y = (X[:, :1] + rng.normal(size=(60, 40)) > 0).astype(float)
    result = small_report(quick().fit(X, Y), X, Y, cv="prefit", max_plots=6)
    assert_sound(result.html)
    assert result.html.count("<article") == 6
    assert "Curves are drawn for 6 of 40 tasks" in result.html
    drawn = set(re.findall(r"<h3>(task_\d+)</h3>", result.html))
    scores = result.scores["roc_auc"]
    assert drawn == {*scores.nsmallest(3).index, *scores.nlargest(3).index}
    assert all(f'<th scope="row">task_<wbr>{t}</th>' in result.html for t in range(40))


def test_tasks_without_labels_of_both_classes_are_said_to_have_no_score(problem):
    X, Y = problem
    clf = quick().fit(X, Y)
    Y[:, 0], Y[:, 1] = np.nan, 1.0
    result = small_report(clf, X, Y, cv="prefit")
    assert_array_equal(np.isfinite(result.scores["roc_auc"]), [False, False, True])
    assert result.html.count("There is no plot") == 2
    assert_sound(result.html)


def test_the_same_seed_makes_the_same_page(problem):
    one, other = (small_report(quick(), *problem) for _ in range(2))
    for table in ("scores", "thresholds", "importances"):
        pd.testing.assert_frame_equal(getattr(one, table), getattr(other, table))


def test_it_is_written_as_a_whole(problem, tmp_path):
    X, Y = problem
    clf = quick().fit(X, Y)
    path = tmp_path / "report.html"
    result = small_report(clf, X, Y, cv="prefit", path=path, title="Größe")
    assert path.read_text(encoding="utf-8") == result.html
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    nowhere = tmp_path / "none" / "report.html"
    with pytest.raises(FileNotFoundError, match="must be in an existing folder"):
        result.save(nowhere)
    with pytest.raises(FileNotFoundError, match="must be in an existing folder"):
        skmtl.report(quick(), "X is not looked at", "nor is y", nowhere)
    with pytest.raises(IsADirectoryError, match="must be the name of a file"):
        skmtl.report(quick(), "X is not looked at", "nor is y", tmp_path)


def test_a_threshold_is_scored_on_rows_that_did_not_choose_it():
    rng = np.random.default_rng(0)
    fold = np.repeat([0, 1, 2], 20)
    tasks = []
    for t in range(40):  # of noise, on which a threshold that has seen it scores 0.6
        y, p = np.arange(60) % 2, rng.random(60)
        p = np.column_stack([1 - p, p])
        tasks.append(TaskHeldOut(str(t), t, np.array([0, 1]), y, p, y, fold))
    table = table_of_thresholds(tasks)
    assert abs(table["balanced_accuracy_at_threshold"].mean() - 0.5) < 0.03


def test_what_is_calibrated_and_still_off_need_not_be_calibrated_again():
    X = np.random.default_rng(0).normal(size=(600, 3))
    Y = pd.DataFrame(X > 0, columns=["done", "rare", "good"]).astype(float)
    is_extra = (Y["rare"] == 1) & (Y["rare"].cumsum() > 3)
    calibrated = MultiTaskCalibratedClassifierCV(quick(), cv=2)
    with pytest.warns(UserWarning, match="rare"):  # has no calibrator
        calibrated.fit(X, Y.assign(rare=Y["rare"].mask(is_extra)))
    for model in [calibrated, FrozenEstimator(calibrated)]:
        html = small_report(model, X, 1 - Y, cv="prefit").html
        assert "done and good are calibrated and on average still off" in html
        assert "Calibrate the probabilities of rare before" in html
    html = small_report(quick().fit(X, Y), X, 1 - Y, cv="prefit").html
    assert "still off" not in html
    assert "Calibrate the probabilities of done, rare and good before" in html


def test_names_of_the_columns_of_a_sparse_matrix():
    rng = np.random.default_rng(0)
    dense = (rng.random((60, 3)) < 0.3).astype(float)
    X, Y = sparse.csr_array(dense), dense[:, :2] > 0
    names = ["C1CC1", "<b>", "ether"]
    result = small_report(quick(), X, Y, feature_names=names)
    assert list(result.importances.index) == names
    assert "&lt;b&gt;" in result.html
    with pytest.raises(ValueError, match="each of the 3 columns of X; got 2"):
        small_report(quick(), X, Y, feature_names=names[:2])


def test_what_it_refuses(problem, monkeypatch):
    X, Y = problem
    clf = quick().fit(X, Y)
    for name in ("max_plots", "max_columns"):
        with pytest.raises(ValueError, match=f"{name} must be a whole number"):
            small_report(clf, X, Y, **{name: -1})
    with pytest.raises(ValueError, match="estimator must be a skmtl estimator"):
        small_report(StandardScaler(), X, Y)
    find = builtins.__import__

    def without_jinja2(name, *args, **kwargs):
        if name == "jinja2":
            raise ImportError(name)
        return find(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_jinja2)
    with pytest.raises(ImportError, match=r"pip install 'skmtl\[report\]'"):
        skmtl.report(quick(), "X is not looked at", "nor is y")


def test_round_ticks_within_the_range():
    for low, high in [(0, 1), (0.55, 0.9), (-3, 1200), (1e-9, 5e-9), (1, 2), (1, 200)]:
        values = [value for value, _ in ticks(low, high)]
        assert 2 <= len(values) <= 7
        assert low - 1e-9 * abs(low) <= values[0] < values[-1] <= high * (1 + 1e-9)
        assert_allclose(np.diff(values), values[1] - values[0])
        assert len({text for _, text in ticks(low, high)}) == len(values)

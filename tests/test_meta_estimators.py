"""scikit-learn's tools around the network: the guide's table is tried cell by cell."""

import re
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from _estimators import small_network
from numpy.testing import assert_allclose
from sklearn import config_context
from sklearn import model_selection as stock
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.ensemble import (
    BaggingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFECV, SelectKBest, SequentialFeatureSelector
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import (
    DecisionBoundaryDisplay,
    PartialDependenceDisplay,
    permutation_importance,
)
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    DetCurveDisplay,
    PrecisionRecallDisplay,
    RocCurveDisplay,
    log_loss,
    roc_auc_score,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MultiLabelBinarizer,
    StandardScaler,
    TargetEncoder,
)

import skmtl.inspection
import skmtl.model_selection
from skmtl import observed_rows, task_view
from skmtl.calibration import MultiTaskCalibratedClassifierCV
from skmtl.metrics import multitask_score, multitask_scorer
from skmtl.model_selection import (
    MultiTaskStratifiedKFold,
    MultiTaskTunedThresholdClassifierCV,
    multitask_train_test_split,
)

matplotlib.use("Agg")
PAGE = Path(__file__).parents[1] / "docs" / "user_guide" / "evaluation.md"
HEADING = "## Which scikit-learn tools accept missing labels\n"
REFUSALS = (AttributeError, IndexError, NotImplementedError, TypeError, ValueError)

rng = np.random.default_rng(0)
X = rng.normal(size=(80, 4))
PAIR = X[:, :2]  # a plot of decisions has two axes
COMPLETE = (X[:, :3] > 0).astype(float)
MISSING = np.where(rng.random(COMPLETE.shape) < 1 / 4, np.nan, COMPLETE)
LABELS = {
    "missing labels in one task": MISSING[:, 0],
    "several complete tasks": COMPLETE,
    "several tasks with missing labels": MISSING,
}

pytestmark = [
    # The first rounds of halving searches have few rows.
    pytest.mark.filterwarnings("ignore:.*(fewer labels|one class only)"),
    # What scikit-learn warns of before it refuses NaN, and beside wrong results.
    pytest.mark.filterwarnings("ignore:invalid value encountered in cast"),
    pytest.mark.filterwarnings("ignore:The y_prob values do not sum to one"),
    pytest.mark.filterwarnings("ignore:Scoring failed"),
]


def net(**changes):
    settings = {"max_iter": 4, "learning_rate_init": 0.1, "random_state": 0}
    return small_network(8, **(settings | changes))


@pytest.fixture(autouse=True)
def _closes_plots():
    yield
    plt.close("all")


# What each tool gives for y, with the settings of its row -----------------------------

ALPHAS = {"alpha": [0.01, 0.1]}
SEARCHES = {
    "GridSearchCV": {},
    "RandomizedSearchCV": {"n_iter": 1, "random_state": 0},
    "HalvingGridSearchCV": {"random_state": 0},
    "HalvingRandomSearchCV": {
        "n_candidates": 2,
        "min_resources": "exhaust",
        "random_state": 0,
    },
}
FUNCTIONS = {
    "cross_validate": {"error_score": "raise"},
    "cross_val_score": {"error_score": "raise"},
    "cross_val_predict": {},
    "learning_curve": {"train_sizes": [25, 40], "error_score": "raise"},
    "validation_curve": {
        "param_name": "alpha",
        "param_range": ALPHAS["alpha"],
        "error_score": "raise",
    },
    "permutation_test_score": {"n_permutations": 2},
}
DISPLAYS = {
    "CalibrationDisplay": (CalibrationDisplay, "prob_true"),
    "ConfusionMatrixDisplay": (ConfusionMatrixDisplay, "confusion_matrix"),
    "DetCurveDisplay": (DetCurveDisplay, "fnr"),
    "PrecisionRecallDisplay": (PrecisionRecallDisplay, "average_precision"),
    "RocCurveDisplay": (RocCurveDisplay, "roc_auc"),
}
ESTIMATORS = {
    "Pipeline": lambda: make_pipeline(StandardScaler(), net()),
    "VotingClassifier": lambda: VotingClassifier([("a", net()), ("b", net())]),
    "BaggingClassifier": lambda: BaggingClassifier(net(), 2, random_state=0),
    "StackingClassifier": lambda **settings: StackingClassifier(
        [("a", net())], net(), cv=2, **settings
    ),
    "MultiOutputClassifier": lambda: MultiOutputClassifier(net()),
    "ClassifierChain": lambda: ClassifierChain(net()),
    "OneVsRestClassifier": lambda: OneVsRestClassifier(net()),
    "OneVsOneClassifier": lambda: OneVsOneClassifier(net()),
    "CalibratedClassifierCV": lambda: CalibratedClassifierCV(net(), cv=2),
    "TunedThresholdClassifierCV": lambda: stock.TunedThresholdClassifierCV(
        net(), thresholds=5, cv=2
    ),
    "FixedThresholdClassifier": lambda: stock.FixedThresholdClassifier(
        net(), threshold=0.4
    ),
    "SelectKBest": lambda: make_pipeline(SelectKBest(k=3), net()),
    "RFECV": lambda **settings: make_pipeline(
        RFECV(
            net(),
            min_features_to_select=3,
            importance_getter=lambda clf: np.arange(clf.n_features_in_, 0.0, -1),
            **settings,
        ),
        net(),
    ),
    "TargetEncoder": lambda: make_pipeline(
        FunctionTransformer(np.round), TargetEncoder(cv=stock.KFold(2)), net()
    ),
}


def search_or_function(module, name, y, **settings):
    """By the same name in scikit-learn and in skmtl."""
    tool = getattr(module, name)
    if name in SEARCHES:
        settings = SEARCHES[name] | {"error_score": "raise"} | settings
        return tool(net(), ALPHAS, **settings).fit(X, y)
    found = tool(net(), X, y, **FUNCTIONS[name], **settings)
    if name == "cross_validate":
        return found["test_score"]
    return found[-1] if isinstance(found, tuple) else found


def draw(name, clf, rows, labels):
    """What the plot of a fitted classifier shows."""
    if name == "DecisionBoundaryDisplay":
        shown = DecisionBoundaryDisplay.from_estimator(clf, rows, grid_resolution=5)
        return shown.response
    if name == "PartialDependenceDisplay":
        shown = PartialDependenceDisplay.from_estimator(
            clf, rows, [0], grid_resolution=5
        )
        return shown.pd_results[0].average
    cls, attribute = DISPLAYS[name]
    return getattr(cls.from_estimator(clf, rows, labels), attribute)


def probabilities(y):
    p = net().fit(X, y).predict_proba(X)
    return p if y.ndim == 2 else p[:, 1]


OTHERS = {
    "FrozenEstimator": lambda y: FrozenEstimator(net().fit(X, y)).fit(X, y),
    "permutation_importance": lambda y, **settings: (
        permutation_importance(
            net().fit(X, y), X, y, n_repeats=2, random_state=0, **settings
        ).importances_mean
    ),
    "SequentialFeatureSelector": lambda y, **settings: (
        SequentialFeatureSelector(
            net(), n_features_to_select=3, direction="backward", **settings
        )
        .fit(X, y)
        .get_support()
    ),
    "train_test_split": lambda y, **settings: stock.train_test_split(
        X, y, random_state=0, **settings
    )[1],
    "StratifiedKFold": lambda y: held_out(stock.StratifiedKFold(2), y),
    "roc_auc_score": lambda y: roc_auc_score(y, probabilities(y)),
    "log_loss": lambda y: log_loss(y, probabilities(y)),
}


def held_out(splitter, y):
    return np.concatenate([test for _, test in splitter.split(X, y)])


def run(name, y, **settings):
    """An estimator that predicts, or what comes out."""
    if name in SEARCHES or name in FUNCTIONS:
        return search_or_function(stock, name, y, **settings)
    if name in ESTIMATORS:
        return ESTIMATORS[name](**settings).fit(X, y)
    if name in OTHERS:
        return OTHERS[name](y, **settings)
    return draw(name, net().fit(PAIR, y), PAIR, y)


# What the guide advises instead -------------------------------------------------------


def view_and_rows(y, table=X):
    """The first task of a network, and the rows that have a label of it."""
    clf = net().fit(table, y)
    return task_view(clf, 0), *observed_rows(table, y, 0)


def with_a_view(name, y):
    view, rows, labels = view_and_rows(y, PAIR)
    if name in DISPLAYS:
        return draw(name, view, rows, labels)
    fixed = stock.FixedThresholdClassifier(view, threshold=0.4)
    return fixed.fit(rows, labels).predict(PAIR)


def stack_views(name, y):
    view, rows, labels = view_and_rows(y)
    stack = StackingClassifier([("a", view)], net(), cv="prefit")
    return stack.fit(rows, labels).predict_proba(X)


def multitask_display(name, y):
    cls = getattr(skmtl.inspection, f"MultiTask{name}")
    shown = cls.from_estimator(net().fit(X, y), X, y)
    found = getattr(shown, DISPLAYS[name][1])
    if name == "CalibrationDisplay":
        return np.hstack(found)
    return [area for of_task in found for area in of_task.values()]


def with_categories(name, y):
    table = pd.DataFrame(X).round().astype("category")
    return net(input_encoding="piecewise").fit(table, y).predict(table)


METRICS = {"roc_auc_score": "roc_auc", "log_loss": log_loss}
INSTEAD = {
    "`MultiTaskStratifiedKFold`": lambda name, y: held_out(
        MultiTaskStratifiedKFold(2), y
    ),
    "`multitask_train_test_split`": lambda name, y, **settings: (
        multitask_train_test_split(X, y, random_state=0)[1]
    ),
    "`multitask_score`": lambda name, y: multitask_score(
        METRICS[name], y, probabilities(y)
    ),
    "`MultiTaskCalibratedClassifierCV`": lambda name, y: (
        MultiTaskCalibratedClassifierCV(net(), cv=2).fit(X, y)
    ),
    "`MultiTaskTunedThresholdClassifierCV`": lambda name, y: (
        MultiTaskTunedThresholdClassifierCV(net(), cv=2).fit(X, y)
    ),
    "`MultiTaskRocCurveDisplay`": multitask_display,
    "`MultiTaskPrecisionRecallDisplay`": multitask_display,
    "`MultiTaskCalibrationDisplay`": multitask_display,
    "`task_view` and `observed_rows`": with_a_view,
    "`task_view`": lambda name, y: draw(name, *view_and_rows(y, PAIR)),
    '`task_view` and `observed_rows`, with `cv="prefit"`': stack_views,
    "`n_members` of the network": lambda name, y: net(n_members=2).fit(X, y),
    "the network alone": lambda name, y: net().fit(X, y),
    'the network alone, or with `sharing="none"`': lambda name, y: net(
        sharing="none"
    ).fit(X, y),
    "`SequentialFeatureSelector`": lambda name, y: run(
        "SequentialFeatureSelector", y, cv=MultiTaskStratifiedKFold(2)
    ),
    "`observed_rows` of a task": lambda name, y: (
        SelectKBest(k=2).fit(*observed_rows(X, y, 0)).scores_
    ),
    "category columns": with_categories,
}


# The table ----------------------------------------------------------------------------


def rows_of_the_table():
    section = PAGE.read_text().split(HEADING)[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    heads, _, *rows = [[c.strip() for c in line[1:-1].split("|")] for line in lines]
    return [dict(zip(heads, row, strict=True)) for row in rows]


def names_of(row):
    return re.findall(r"`(\w+)`", row["scikit-learn"])


def tools():
    """Name and row of the table; the id says which settings the row has."""
    for row in rows_of_the_table():
        for name in names_of(row):
            settings = row["with"].strip("`")
            yield pytest.param(name, row, id=f"{name}({settings})")


def settings_of(text, y):
    """`cv=splitter, min_resources=40` as a dict."""
    names = {
        "splitter": MultiTaskStratifiedKFold(2),
        "multitask_scorer": multitask_scorer,
        "y": y,
    }
    return eval(f"dict({text.strip('`')})", names)


def assert_works(result, name, y, settings):
    if hasattr(result, "predict"):
        predicted = result.predict(X)
        assert predicted.shape == y.shape
        assert multitask_score("accuracy", y, predicted) > 0.7
        return
    assert np.isfinite(result).all()
    n_folds = getattr(settings.get("cv"), "n_splits", settings.get("cv"))
    shapes = {
        "cross_validate": (n_folds,),
        "cross_val_score": (n_folds,),
        "cross_val_predict": y.shape,
        "learning_curve": (2, n_folds),
        "validation_curve": (2, n_folds),
        "permutation_importance": (4,),
        "SequentialFeatureSelector": (4,),
        "train_test_split": (20, 4),
    }
    assert np.shape(result) == shapes.get(name, np.shape(result))
    assert np.size(result) > 0


def instead(name, row, y):
    advice = row["use instead"]
    settings = settings_of(row["with"], y)
    if advice == "the same name in `skmtl.model_selection`":
        return search_or_function(skmtl.model_selection, name, y, **settings)
    if re.fullmatch(r"`\w+=.*`", advice):
        return run(name, y, **(settings | settings_of(advice, y)))
    return INSTEAD[advice](name, y)


@pytest.mark.parametrize("situation", LABELS)
@pytest.mark.parametrize(("name", "row"), list(tools()))
def test_what_the_table_says_of_missing_labels_and_several_tasks(name, row, situation):
    y = LABELS[situation]
    settings = settings_of(row["with"], y)
    if row[situation] == "no":
        with pytest.raises(REFUSALS):
            run(name, y, **settings)
        return
    result = run(name, y, **settings)
    if row[situation] == "yes":
        assert_works(result, name, y, settings)
        return
    assert row[situation] == "wrong"
    right = instead(name, row, y)
    assert np.shape(result) != np.shape(right) or not np.allclose(result, right)


@pytest.mark.parametrize(("name", "row"), list(tools()))
def test_what_the_table_advises_instead(name, row):
    for situation, y in LABELS.items():
        if row[situation] != "yes":
            result = instead(name, row, y)
            if name != "cross_val_predict":
                assert_works(result, name, y, settings_of(row["with"], y))
    assert bool(row["use instead"]) == any(row[head] != "yes" for head in LABELS)


@pytest.mark.parametrize(
    ("name", "row"), {tool.values[0]: tool for tool in reversed([*tools()])}.values()
)
def test_one_complete_task_is_what_they_are_made_for(name, row):
    y = COMPLETE[:, 0]
    settings = settings_of(row["with"], y)
    if name in ("MultiOutputClassifier", "ClassifierChain"):
        with pytest.raises(REFUSALS):
            run(name, y)
    else:
        assert_works(run(name, y, **settings), name, y, settings)


# The traps below it -------------------------------------------------------------------


def test_the_probabilities_of_a_stack_are_those_of_the_first_classes():
    final = RandomForestClassifier(10, random_state=0)
    stack = StackingClassifier(
        [("a", net())], final, cv=MultiTaskStratifiedKFold(2), stack_method="predict"
    ).fit(X, COMPLETE)
    p = stack.predict_proba(X)
    assert multitask_score("accuracy", COMPLETE, stack.predict(X)) > 0.7
    upside_down = multitask_score("roc_auc", COMPLETE, p)
    assert upside_down < 0.3
    assert multitask_scorer("roc_auc")(stack, X, COMPLETE) == upside_down
    assert_allclose(multitask_score("roc_auc", COMPLETE, 1 - p), 1 - upside_down)


@pytest.mark.parametrize(
    "tool",
    [
        BaggingClassifier(net(), 2),
        OneVsOneClassifier(net()),
        SequentialFeatureSelector(net(), cv=MultiTaskStratifiedKFold(2)),
    ],
    ids=lambda tool: type(tool).__name__,
)
def test_categories_are_text_in_an_array(tool):
    table = pd.DataFrame(X, columns=list("abcd"))
    table["e"] = pd.Categorical(np.where(X[:, 0] > 0, "u", "v"))
    y = COMPLETE[:, 0]
    network = net(input_encoding="piecewise")
    assert network.fit(table, y).score(table, y) > 0.7
    with pytest.raises(ValueError, match="could not convert string to float"):
        clone(tool).set_params(estimator=network).fit(table, y)


def test_a_dict_of_scores_is_taken_where_there_is_room():
    scorer = multitask_scorer("roc_auc", per_task=True)
    cv = MultiTaskStratifiedKFold(2)
    clf = net().fit(X, MISSING)
    by_task = permutation_importance(clf, X, MISSING, scoring=scorer, random_state=0)
    for task in range(3):
        assert by_task[f"task_{task}"].importances_mean.argmax() == task
    found = stock.cross_validate(net(), X, MISSING, cv=cv, scoring=scorer)
    assert np.isfinite(found["test_task_2"]).all()
    search = stock.GridSearchCV(net(), ALPHAS, cv=cv, scoring=scorer, refit="mean")
    assert np.isfinite(search.fit(X, MISSING).best_score_)
    for name in ("cross_val_score", "learning_curve", "validation_curve"):
        settings = FUNCTIONS[name] | {"cv": cv, "scoring": scorer}
        with pytest.raises(REFUSALS):
            getattr(stock, name)(net(), X, MISSING, **settings)


def test_scores_are_nan_unless_errors_are_asked_for():
    settings = {"cv": MultiTaskStratifiedKFold(2), "scoring": "roc_auc"}
    with pytest.warns(UserWarning, match="Scoring failed"):
        scores = stock.cross_val_score(net(), X, MISSING, **settings)
    assert np.isnan(scores).all()
    with pytest.warns(UserWarning, match="Scoring failed"):
        kept = run("SequentialFeatureSelector", MISSING, **settings)
    assert kept.tolist() == [False, True, True, True]


# Weights, and rounds with few labels --------------------------------------------------


def test_routed_weights_are_cut_with_the_rows_of_a_pipeline():
    weight = np.random.default_rng(1).uniform(0.1, 3, size=MISSING.shape)
    cv = MultiTaskStratifiedKFold(2)
    with config_context(enable_metadata_routing=True):
        scorer = multitask_scorer("roc_auc").set_score_request(sample_weight=True)
        pipeline = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            net().set_fit_request(sample_weight=True),
        )
        grid = {"multitasknetclassifier__alpha": ALPHAS["alpha"]}
        search = stock.GridSearchCV(pipeline, grid, cv=cv, scoring=scorer)
        search.fit(X, MISSING, sample_weight=weight)
        for fold, (train, test) in enumerate(cv.split(X, MISSING)):
            for candidate, parameters in enumerate(search.cv_results_["params"]):
                own = clone(pipeline).set_params(**parameters)
                own.fit(X[train], MISSING[train], sample_weight=weight[train])
                score = scorer(own, X[test], MISSING[test], sample_weight=weight[test])
                found = search.cv_results_[f"split{fold}_test_score"][candidate]
                assert found == score
        ones = search.fit(X, MISSING, sample_weight=np.ones_like(MISSING))
        p = ones.predict_proba(X)
        assert_allclose(p, search.fit(X, MISSING).predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("module", [stock, skmtl.model_selection])
def test_a_halving_search_names_the_task_that_a_round_has_too_few_labels_of(module):
    y = MISSING.copy()
    y[:, 2] = np.nan
    y[::4, 2] = np.arange(20) < 3
    search = module.HalvingGridSearchCV(
        net(),
        ALPHAS,
        cv=MultiTaskStratifiedKFold(2),
        scoring=multitask_scorer("roc_auc"),
        min_resources=20,
        factor=2,
        random_state=0,
    )
    with pytest.warns(UserWarning, match="task_2"):
        search.fit(X, y)
    last = search.cv_results_["iter"] == search.n_iterations_ - 1
    assert np.isfinite(search.cv_results_["mean_test_score"][last]).all()
    assert np.isfinite(search.best_score_)


# Bags of tags -------------------------------------------------------------------------


def test_bags_of_tags_in_and_out():
    bags = [{tag for tag, x in zip("abcd", row, strict=True) if x > 0} for row in X]
    bags[0] = set()  # which says that no tag fits
    binarizer = MultiLabelBinarizer(classes=list("abcd"), sparse_output=True)
    table = binarizer.fit_transform(bags[:60])
    clf = net().fit(X[:60], table)
    tags = binarizer.inverse_transform(clf.predict(X))
    n_right = sum(
        len(bag ^ set(found)) <= 1 for bag, found in zip(bags, tags, strict=True)
    )
    assert n_right > 60
    # Rows of which nobody asked for tags change nothing; rows without a tag do.
    dense = table.toarray().astype(float)
    for unknown, is_same in [(np.nan, True), (0, False)]:
        y = np.vstack([dense, np.full((20, 4), unknown)])
        other = net(input_encoding="none").fit(X, y)
        same = net(input_encoding="none").fit(X[:60], table)
        difference = np.abs(other.predict_proba(X) - same.predict_proba(X)).max()
        assert (difference < 1e-6) == is_same

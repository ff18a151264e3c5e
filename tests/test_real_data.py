"""The classifier on real tables, beside what is known of them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skrub import tabular_pipeline

from skmtl import MultiTaskNetClassifier
from skmtl.metrics import multitask_score, multitask_scorer
from skmtl.model_selection import MultiTaskStratifiedKFold


def mean_auc(Y, p):
    """Mean over the tasks with both classes of the ROC AUC on observed labels."""
    Y = np.asarray(Y, dtype=float)
    aucs = []
    for y, scores in zip(Y.T, np.asarray(p).T, strict=True):
        seen = ~np.isnan(y)
        if len(np.unique(y[seen])) == 2:
            aucs.append(roc_auc_score(y[seen], scores[seen]))
    return np.mean(aucs)


def test_yeast_with_four_tenths_of_the_labels_removed(load_real):
    X, Y, extras = load_real("yeast")
    train, test = extras["train_idx"], extras["test_idx"]
    removed = np.random.default_rng(0).random((len(train), Y.shape[1])) < 0.4
    incomplete = Y.iloc[train].mask(removed)
    clf = MultiTaskNetClassifier(n_members=1, random_state=0).fit(X[train], incomplete)
    ours = mean_auc(Y.iloc[test], clf.predict_proba(X[test]))

    baseline = np.empty((len(test), Y.shape[1]))
    for j, task in enumerate(Y):
        y = incomplete[task].dropna()
        rows = train[incomplete[task].notna()]
        logistic = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
        baseline[:, j] = logistic.fit(X[rows], y).predict_proba(X[test])[:, 1]
    assert ours > mean_auc(Y.iloc[test], baseline)
    assert ours > 0.67


@pytest.mark.parametrize("estimator", ["network on half the labels", "forest"])
def test_a_search_over_yeast_equals_a_hand_written_loop(load_real, estimator):
    X, Y, _ = load_real("yeast")
    X, Y = X[:600], Y[:600]
    if estimator == "forest":
        model = RandomForestClassifier(10, random_state=0)
        grid = {"max_depth": [3, 5]}
    else:
        Y = Y.mask(np.random.default_rng(0).random(Y.shape) < 0.5)
        model = MultiTaskNetClassifier(n_members=1, max_iter=2, random_state=0)
        grid = {"hidden_layer_sizes": [(), (20,)]}
    cv = MultiTaskStratifiedKFold(2)
    search = GridSearchCV(
        model, grid, cv=cv, scoring=multitask_scorer("roc_auc"), refit=False
    ).fit(X, Y)
    ((name, values),) = grid.items()
    for value, found in zip(values, search.cv_results_["mean_test_score"], strict=True):
        aucs = []
        for train, test in cv.split(X, Y):
            fitted = (
                clone(model).set_params(**{name: value}).fit(X[train], Y.iloc[train])
            )
            p = fitted.predict_proba(X[test])
            if isinstance(p, list):
                p = np.column_stack([task[:, 1] for task in p])
            aucs.append(mean_auc(Y.iloc[test], p))
        assert found == pytest.approx(np.mean(aucs))


def test_tox21_as_csr(load_real):
    X, Y, extras = load_real("tox21")
    train, test = extras["train_idx"], extras["test_idx"]
    clf = MultiTaskNetClassifier(n_members=1, max_iter=20, random_state=0)
    clf.fit(X[train], Y.iloc[train])
    p = pd.DataFrame(clf.predict_proba(X[test]), columns=clf.task_names_)
    assert p.columns.tolist() == Y.columns.tolist()
    assert mean_auc(Y.iloc[test], p) > 0.72


def test_drug_consumption_with_strings_through_a_column_transformer(load_real):
    X, Y, _ = load_real("drug_consumption")
    Y = Y.mask(np.random.default_rng(0).random(Y.shape) < 0.3)
    text = X.select_dtypes(exclude="number").columns
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), text), remainder=StandardScaler()
    )
    clf = MultiTaskNetClassifier((64,), n_members=1, max_iter=10, random_state=0)
    model = make_pipeline(columns, clf)
    with pytest.warns(UserWarning, match="fewer labels than n_splits"):
        scores = cross_val_score(
            model, X, Y, cv=MultiTaskStratifiedKFold(2), error_score="raise"
        )
    largest_class = Y.apply(lambda y: y.value_counts(normalize=True).max()).mean()
    assert scores.mean() > largest_class

    model.fit(X, Y)
    for task, classes, p in zip(Y, clf.classes_, model.predict_proba(X), strict=True):
        assert classes.tolist() == sorted(Y[task].dropna().unique())
        assert p.shape == (len(X), len(classes))


def test_support2_with_text_missing_in_y(load_real):
    X, Y, _ = load_real("support2")
    X, Y = X.iloc[:900], Y.iloc[:900]
    assert Y.isna().to_numpy().any()
    numeric = X.select_dtypes("number").columns
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), numeric)
    )
    clf = MultiTaskNetClassifier(
        n_members=1, class_weight="balanced", max_iter=20, random_state=0
    )
    search = GridSearchCV(
        make_pipeline(columns, clf),
        {"multitasknetclassifier__head_hidden_layer_sizes": [(), (16,)]},
        cv=MultiTaskStratifiedKFold(2),
        error_score="raise",
    ).fit(X, Y)
    predicted = pd.DataFrame(search.predict(X), columns=Y.columns)
    for task in Y:
        assert set(predicted[task]) <= set(Y[task].dropna())
    # Balanced classes are hard to beat by always saying the largest.
    seen = Y["sfdm2"].notna()
    recall = (predicted["sfdm2"] == Y["sfdm2"])[seen].groupby(Y["sfdm2"][seen]).mean()
    assert recall.mean() > 1.3 / len(recall)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["support2", "adult"])
def test_a_raw_table_goes_in_as_well_as_an_encoded_one(load_real, name):
    X, Y, _ = load_real(name)
    X, Y = X.iloc[:4000], Y.iloc[:4000]
    assert X.isna().to_numpy().any()
    assert Y.isna().to_numpy().any()
    text = X.select_dtypes(exclude="number").columns
    raw = X.astype(dict.fromkeys(text, "category"))
    clf = MultiTaskNetClassifier(max_iter=20, random_state=0)
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), text),
        remainder="passthrough",
    )
    standardise = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), text),
        remainder=make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()),
    )
    linear = clone(clf).set_params(input_encoding="none")
    routes = {
        "raw": (clf, raw),
        "skrub": (tabular_pipeline(clone(clf)), X),
        "column transformer": (make_pipeline(encode, clone(clf)), X),
        "linear": (make_pipeline(standardise, linear), X),
    }
    train, test = np.arange(3000), np.arange(3000, 4000)
    losses = {}
    for route, (model, table) in routes.items():
        model.fit(table.iloc[train], Y.iloc[train])
        p = model.predict_proba(table.iloc[test])
        losses[route] = -multitask_score(
            "neg_log_loss", Y.iloc[test], p, classes=model.classes_
        )
    shares = [Y[task].iloc[train].value_counts(normalize=True) for task in Y]
    entropy = np.mean([-(share * np.log(share)).sum() for share in shares])
    assert max(losses.values()) < 0.9 * entropy
    assert losses["raw"] < losses["linear"] + 0.01
    assert losses["raw"] < losses["skrub"] + 0.02
    assert losses["raw"] == pytest.approx(losses["column transformer"], abs=0.02)


def test_folds_of_toxcast_are_far_more_even_than_random_ones(load_real):
    X, Y, _ = load_real("toxcast")
    ours = [test for _, test in MultiTaskStratifiedKFold(5).split(X, Y)]
    random = np.array_split(np.random.default_rng(0).permutation(len(Y)), 5)

    def unevenness(count):
        """Mean over the tasks of the spread of a count over the folds."""
        return [
            np.std([count(Y.iloc[rows]) for rows in folds], axis=0).mean()
            for folds in (ours, random)
        ]

    positives, random_positives = unevenness(lambda part: (part == 1).sum())
    labelled, random_labelled = unevenness(lambda part: part.notna().sum())
    assert positives < 0.3 * random_positives
    assert labelled < 0.1 * random_labelled

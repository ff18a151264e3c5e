import pytest
from _classifiers import AtEpoch, classifier
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl.model_selection import MultiTaskStratifiedKFold


def test_a_callback_sees_every_epoch_and_may_stop_the_fit(problem):
    callback = AtEpoch(4, lambda: True)
    clf = classifier().set_callbacks(callback).fit(*problem)
    assert clf.n_iter_ == 5
    epochs = [("begin", "epoch"), ("end", "epoch")] * 5
    assert callback.hooks == [
        ("begin", "fit"),
        *epochs,
        ("end", "fit"),
        "teardown",
    ]


def test_scoring_monitor_scores_the_network_of_each_epoch(problem):
    X, Y = problem

    def accuracy(estimator, X, y, sample_weight=None):
        return estimator.score(X, y, sample_weight)

    monitor = ScoringMonitor(scoring={"accuracy": accuracy})
    clf = classifier(max_iter=6, learning_rate="constant").set_callbacks(monitor)
    with pytest.warns(ConvergenceWarning):
        clf.fit(X, Y)
    log = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(log) == 6
    for row in log:
        with pytest.warns(ConvergenceWarning):
            shorter = clone(clf).set_params(max_iter=row["task_id"] + 1).fit(X, Y)
        assert row["accuracy"] == shorter.score(X, Y)


def test_progress_bar_on_a_search(problem, capsys):
    X, Y = problem
    search = GridSearchCV(
        make_pipeline(StandardScaler(), classifier(max_iter=3)),
        {"multitasknetclassifier__head_hidden_layer_sizes": [(), (4,)]},
        cv=MultiTaskStratifiedKFold(2),
    )
    search.set_callbacks(ProgressBar()).fit(X, Y)
    assert "GridSearchCV" in capsys.readouterr().out
    assert search.best_estimator_[-1].n_iter_ == 3


def test_verbose_prints_each_epoch(problem, capsys):
    classifier(max_iter=2, verbose=True, early_stopping=True).fit(*problem)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("Epoch 1, loss = ")
    assert "validation score = -" in lines[1]

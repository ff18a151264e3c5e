import numpy as np
import pytest
from _estimators import AtEpoch, assert_same_parameters, classifier
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl.metrics import multitask_scorer
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


def test_scoring_monitor_gets_the_weights_of_the_fit(problem):
    X, Y = problem
    scorer = multitask_scorer("accuracy")
    monitor = ScoringMonitor(scoring={"accuracy": scorer})
    weight = np.random.default_rng(0).uniform(0.1, 5, size=len(X))
    clf = classifier(max_iter=2).set_callbacks(monitor).fit(X, Y, weight)
    last = monitor.get_logs().data[-1]["accuracy"]
    assert last == scorer(clf, X, Y, sample_weight=weight)


def test_a_callback_may_keep_the_network_of_an_epoch(problem):
    class Keeps(AtEpoch):
        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            if context.task_name == "epoch" and context.task_id == 0:
                self.kept = fitted_estimator

    callback = Keeps(0, bool)
    clf = classifier(learning_rate="constant").set_callbacks(callback)
    with pytest.warns(ConvergenceWarning):
        clf.fit(*problem)
    with pytest.warns(ConvergenceWarning):
        first = classifier(learning_rate="constant", max_iter=1).fit(*problem)
    assert_same_parameters(callback.kept, first)
    assert callback.kept.partial_fit(*problem).n_iter_ == 1


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
    assert lines[0].startswith("Epoch 1 of 2, loss = ")
    assert lines[0].endswith(" s left")
    assert "validation score = -" in lines[1]
    assert lines[1].endswith(", 0 s left")


def test_the_number_of_epochs_is_known_before_the_first(problem):
    class Watch:
        def setup(self, estimator, context):
            self.announced = context.max_subtasks

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context):
            return False

    for settings in ({"max_iter": 3}, {"max_iter": "auto"}):
        watch = Watch()
        clf = classifier(**settings).set_callbacks(watch).fit(*problem)
        assert watch.announced == clf.n_iter_

"""What holds for all comparisons of networks."""

import itertools
from functools import partial

import pytest
from _estimators import AtEpoch, small_network
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl.inspection import capacity_curve, label_curve, task_affinity, transfer_gain

AFFINITY = ("task_affinity", 2)  # has one fit
COMPARISONS = {
    "transfer_gain": partial(transfer_gain, cv=2, n_repeats=1),
    "capacity_curve": partial(capacity_curve, sizes=[4], cv=2, n_repeats=1),
    "label_curve": partial(label_curve, task="task_0", n_labels=[5], cv=2),
    "task_affinity": task_affinity,
}


@pytest.mark.parametrize("name", COMPARISONS)
def test_a_network_that_is_not_trained_anew_is_refused(problem, name):
    frozen = FrozenEstimator(small_network(4, max_iter=1).fit(*problem))
    for estimator in (frozen, make_pipeline(StandardScaler(), frozen)):
        with pytest.raises(ValueError, match=r"clones train.*Pass the network itself"):
            COMPARISONS[name](estimator, *problem)


@pytest.mark.parametrize("name", COMPARISONS)
def test_a_checkpoint_of_many_fits_is_refused(problem, tmp_path, name):
    clf = small_network(4, checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match=r"checkpoint_dir=None.*Set it to None"):
        COMPARISONS[name](clf, *problem)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", COMPARISONS)
def test_labels_that_are_not_there_are_refused(problem, name):
    with pytest.raises(ValueError, match="y to be passed"):
        COMPARISONS[name](small_network(4), problem[0], None)


@pytest.mark.parametrize(
    ("name", "number"),
    [(name, n) for name in COMPARISONS for n in (1, 2) if (name, n) != AFFINITY],
)
def test_an_interrupt_ends_the_comparison(problem, name, number):
    """A network that was cut short would be compared as if it were whole."""
    fits = itertools.count(1)

    def interrupt():
        if next(fits) >= number:
            raise KeyboardInterrupt

    clf = small_network(4, max_iter=6).set_callbacks(AtEpoch(3, interrupt))
    with pytest.raises(KeyboardInterrupt):
        COMPARISONS[name](clf, *problem)
    with pytest.warns(RuntimeWarning, match="interrupted after"):
        clf.fit(*problem)  # alone, it ends as ever

import pytest
from _estimators import classifier
from sklearn.base import clone

from skmtl.trunks import UnfreezeAfter


def test_a_schedule_can_be_cloned_and_searched():
    schedule = UnfreezeAfter(3, step_factor=0.5)
    assert clone(schedule).get_params() == {"n_epochs": 3, "step_factor": 0.5}


@pytest.mark.parametrize("settings", [{"n_epochs": -1}, {"step_factor": 0.0}])
def test_bad_schedules_are_refused(problem, settings):
    clf = classifier(freeze=UnfreezeAfter(**settings))
    with pytest.raises(ValueError, match=f"The '{next(iter(settings))}' parameter"):
        clf.fit(*problem)

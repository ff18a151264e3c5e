import numpy as np
import pytest
from _targets import encode_targets
from numpy.testing import assert_array_equal

from skmtl._predictions import split_classes, split_scores

SEVERAL, _ = encode_targets(np.array([[0, 1], [1, 0], [1, 1]]))
SINGLE, _ = encode_targets(np.array([[0], [1], [1]]))
ONE_AXIS, _ = encode_targets(np.array([0, 1, 1]))
P = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.75]])
TABLES = [np.column_stack([1 - p, p]) for p in P.T]


@pytest.mark.parametrize(
    ("scores", "tasks", "expected"),
    [
        (P, SEVERAL, [P[:, 0], P[:, 1]]),
        (P.tolist(), SEVERAL, [P[:, 0], P[:, 1]]),
        (TABLES, SEVERAL, TABLES),
        (tuple(TABLES), SEVERAL, TABLES),
        (np.array(TABLES), SEVERAL, TABLES),
        (P[:, [0]], SINGLE, [P[:, 0]]),
        (P[:, 0], SINGLE, [P[:, 0]]),
        (TABLES[0], SINGLE, [TABLES[0]]),
        (TABLES[:1], SINGLE, [TABLES[0]]),
        (P[:, 0], ONE_AXIS, [P[:, 0]]),
        (TABLES[0], ONE_AXIS, [TABLES[0]]),
    ],
)
def test_scores_of_every_form_become_one_array_per_task(scores, tasks, expected):
    parts = split_scores(scores, tasks)
    assert len(parts) == len(expected)
    for part, own in zip(parts, expected, strict=True):
        assert_array_equal(part, own)


def test_scores_of_another_number_of_tasks_are_refused():
    for scores in (np.ones((3, 3)), TABLES[:1], P[:, 0]):
        with pytest.raises(ValueError, match="each of the 2 tasks"):
            split_scores(scores, SEVERAL)


def test_scores_keep_their_precision():
    assert split_scores(P.astype(np.float32), SEVERAL)[0].dtype == np.float32
    assert split_scores(np.eye(2, dtype=int), SEVERAL)[0].dtype == np.float64


def test_classes_are_those_of_each_task_or_unknown():
    assert split_classes(None, SEVERAL) is None
    assert split_classes(np.array([0, 1]), SEVERAL) is None  # MLPClassifier's numbers
    for classes, tasks, expected in [
        ([[0, 1], ["a", "b"]], SEVERAL, [[0, 1], ["a", "b"]]),
        (np.array(["a", "b"]), ONE_AXIS, [["a", "b"]]),
        (["a", "b"], ONE_AXIS, [["a", "b"]]),
        (np.array([0, 1]), SINGLE, [[0, 1]]),
        ([np.array([0, 1])], SINGLE, [[0, 1]]),
    ]:
        assert [c.tolist() for c in split_classes(classes, tasks)] == expected
    with pytest.raises(ValueError, match="each of the 2 tasks of y_true; got 3"):
        split_classes([[0, 1]] * 3, SEVERAL)

import numpy as np
import pytest
from _classifiers import classifier

from skmtl.sharing import HardSharing


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.ones((59, 5))}, "inconsistent numbers of samples"),
        ({"X": np.ones(60)}, "Expected 2D array"),
        ({"X": np.full((60, 5), np.nan), "input_encoding": "none"}, "SimpleImputer"),
        ({"X": np.full((60, 5), np.inf)}, "infinity"),
        ({"y": np.full((60, 3), np.nan)}, "at least one observed label"),
        ({"y": np.full((60, 3), 0.5)}, "continuous.*Regression"),
        ({"y": np.full((60, 3), np.inf)}, "infinity"),
        ({"y": None}, "y is None"),
        ({"sample_weight": np.ones((60, 2))}, r"got shape \(60, 2\)"),
        ({"sample_weight": -np.ones(60)}, "must not be negative"),
        ({"sample_weight": np.full(60, np.nan)}, "sample_weight contains NaN"),
        ({"sample_weight": np.zeros(60)}, "non-zero"),
        ({"task_weight": {"nobody": 1}}, r"keyed by task names.*'nobody'"),
        ({"hidden_layer_sizes": (5, 0)}, r"hidden_layer_sizes must.*\(5, 0\)"),
        ({"head_hidden_layer_sizes": (2.5,)}, "head_hidden_layer_sizes must"),
        ({"dropout": 1.0}, "The 'dropout' parameter"),
        ({"solver": "lbfgs"}, "The 'solver' parameter"),
        ({"sharing": "some"}, "The 'sharing' parameter"),
        ({"max_iter": -1}, "The 'max_iter' parameter"),
        ({"device": "tpu"}, "device must be 'auto'"),
        ({"device": "cuda:x"}, "device must be 'auto'"),
        ({"device": "cpu:1"}, "device must be 'auto'"),
        ({"device": "cuda:99"}, "torch sees"),
        ({"sharing": HardSharing}, r"Make an object of it: HardSharing\(\)"),
        ({"task_weight": [1, 1e40, 2]}, "fit float32"),
    ],
)
def test_bad_input_is_refused_before_training(problem, change, message):
    X, Y = problem
    data = {"X": X, "y": Y} | {
        k: v for k, v in change.items() if k in ("X", "y", "sample_weight")
    }
    clf = classifier(**{k: v for k, v in change.items() if k not in data})
    with pytest.raises(ValueError, match=f"(?s){message}"):
        clf.fit(**data)
    assert not hasattr(clf, "n_features_in_")
    assert not hasattr(clf, "network_")

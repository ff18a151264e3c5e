"""MultiTaskNetClassifier: the only bridge between scikit-learn and torch."""

from skmtl._classifier._estimator import MultiTaskNetClassifier

__all__ = ["MultiTaskNetClassifier"]

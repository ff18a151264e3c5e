"""The estimators, the only bridge between scikit-learn and torch."""

from skmtl._estimators._base import BaseMultiTaskNet
from skmtl._estimators._classifier import MultiTaskNetClassifier
from skmtl._estimators._mixed import MultiTaskNet
from skmtl._estimators._regressor import MultiTaskNetRegressor

__all__ = [
    "BaseMultiTaskNet",
    "MultiTaskNet",
    "MultiTaskNetClassifier",
    "MultiTaskNetRegressor",
]

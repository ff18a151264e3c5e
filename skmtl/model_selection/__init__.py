"""Splits, searches and cross-validation of data with missing labels.

scikit-learn's stratified splitters refuse NaN in `y` and more than one task; the ones
here balance the labels of every task over the folds, classes and numbers.
`GridSearchCV`, `cross_validate` and their kin are scikit-learn's, in which `cv=5` and
`scoring="roc_auc"` take missing labels.
"""

from skmtl.model_selection._curves import (
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)
from skmtl.model_selection._halving import HalvingGridSearchCV, HalvingRandomSearchCV
from skmtl.model_selection._search import GridSearchCV, RandomizedSearchCV
from skmtl.model_selection._split import (
    MultiTaskStratifiedGroupKFold,
    MultiTaskStratifiedKFold,
    MultiTaskStratifiedShuffleSplit,
    RepeatedMultiTaskStratifiedKFold,
    multitask_train_test_split,
)
from skmtl.model_selection._tuned_threshold import MultiTaskTunedThresholdClassifierCV
from skmtl.model_selection._validation import cross_val_predict

__all__ = [
    "GridSearchCV",
    "HalvingGridSearchCV",
    "HalvingRandomSearchCV",
    "MultiTaskStratifiedGroupKFold",
    "MultiTaskStratifiedKFold",
    "MultiTaskStratifiedShuffleSplit",
    "MultiTaskTunedThresholdClassifierCV",
    "RandomizedSearchCV",
    "RepeatedMultiTaskStratifiedKFold",
    "cross_val_predict",
    "cross_val_score",
    "cross_validate",
    "learning_curve",
    "multitask_train_test_split",
    "validation_curve",
]

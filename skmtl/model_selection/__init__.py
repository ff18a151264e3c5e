"""Splitters, searches and cross-validation for data with missing labels.

scikit-learn's stratified splitters accept only one task and no NaN in `y`. The
splitters in this module balance the labels of every task over the folds, for classes
and numbers. `GridSearchCV`, `cross_validate` and their siblings extend those of
scikit-learn so that `cv=5` and `scoring="roc_auc"` work with missing labels.
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

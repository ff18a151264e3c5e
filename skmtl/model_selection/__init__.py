"""Splits of data with missing labels, and predictions across them.

scikit-learn's stratified splitters refuse NaN in `y` and more than one task; the ones
here balance the labels of every task over the folds, classes and numbers.
`cross_validate`, `GridSearchCV` and their kin are scikit-learn's own: hand them one of
these splitters as `cv`.
"""

from skmtl.model_selection._split import (
    MultiTaskStratifiedGroupKFold,
    MultiTaskStratifiedKFold,
    MultiTaskStratifiedShuffleSplit,
    RepeatedMultiTaskStratifiedKFold,
    multitask_train_test_split,
)
from skmtl.model_selection._validation import cross_val_predict

__all__ = [
    "MultiTaskStratifiedGroupKFold",
    "MultiTaskStratifiedKFold",
    "MultiTaskStratifiedShuffleSplit",
    "RepeatedMultiTaskStratifiedKFold",
    "cross_val_predict",
    "multitask_train_test_split",
]

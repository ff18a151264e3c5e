"""scikit-learn's own checks of an estimator."""

import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import (
    check_estimator,
    estimator_checks_generator,
    parametrize_with_checks,
)

from skmtl import MultiTaskNetClassifier

ESTIMATORS = [
    MultiTaskNetClassifier((32, 32)),  # quicker, and all else as by default
    MultiTaskNetClassifier((100,), n_members=1, dropout=0.0, input_dropout=0.0),
    MultiTaskNetClassifier((50,), sharing="none", input_encoding="none"),
]
FLOAT32 = (
    "compares at rtol=1e-7, which float32 training cannot give; test_training shows "
    "the property in float64"
)
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": FLOAT32,
    "check_sample_weight_equivalence_on_sparse_data": FLOAT32,
}
# A classifier need not have a decision_function; MLPClassifier has none either.
EXPECTED_SKIPS = {"check_classifiers_multilabel_output_format_decision_function"}


@parametrize_with_checks(
    ESTIMATORS,
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
    xfail_strict=False,  # on some machine rounding may be kind
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_no_check_is_skipped_unseen(estimator):
    results = check_estimator(
        clone(estimator).set_params(max_iter=1, hidden_layer_sizes=(5,)),
        expected_failed_checks=EXPECTED_FAILURES,
        on_fail=None,
    )
    skipped = {r["check_name"] for r in results if r["status"] == "skipped"}
    assert skipped <= EXPECTED_SKIPS


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_enough_checks_ran(estimator):
    assert len(list(estimator_checks_generator(estimator))) >= 70

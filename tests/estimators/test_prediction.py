import numpy as np
from _estimators import classifier
from numpy.testing import assert_allclose


def test_rows_are_predicted_alike_alone_and_together(problem, monkeypatch):
    X, Y = problem
    clf = classifier(n_members=2).fit(X, Y)
    together = clf.predict_proba(X)
    alone = np.concatenate([clf.predict_proba(X[[i]]) for i in range(len(X))])
    assert_allclose(alone, together, rtol=1e-5)
    monkeypatch.setattr("skmtl._training._losses.CHUNK_ELEMENTS", 500)
    assert_allclose(clf.predict_proba(X), together, rtol=1e-5)
    assert_allclose(
        clf.transform(X),
        np.vstack([clf.transform(x[None]) for x in X]),
        rtol=1e-4,
        atol=1e-6,
    )

"""A schedule of freezing."""

from numbers import Integral, Real
from typing import ClassVar

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval


class UnfreezeAfter(BaseEstimator):
    """The trunk is frozen for some epochs, then trained too, with smaller steps.

    New heads begin at random and would at first pull a trunk that has already learned
    away from what it knows. So the heads learn first [1]_. The schedule of the step
    size runs over all epochs, frozen or not.

    Parameters
    ----------
    n_epochs : int, default=10
        Epochs that train the heads alone.
    step_factor : float, default=0.1
        Factor on the steps of the trunk in the later epochs.

    See Also
    --------
    skmtl.MultiTaskNetClassifier : Its parameter `freeze` takes this object.

    References
    ----------
    .. [1] J. Howard, S. Ruder, "Universal Language Model Fine-tuning for Text
       Classification", ACL 2018, section 3.3; there the layers are released one by one.
       :arxiv:`1801.06146`

    Examples
    --------
    Of twelve epochs the first eight train the heads of the new tasks alone:

    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.trunks import UnfreezeAfter
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> many = MultiTaskNetClassifier(random_state=0).fit(X, X > 0)
    >>> few = MultiTaskNetClassifier(
    ...     pretrained=FrozenEstimator(many), freeze=UnfreezeAfter(8), max_iter=12
    ... )
    >>> few.fit(X[:30], X[:30, 0] > X[:30, 1]).n_iter_
    12
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_epochs": [Interval(Integral, 0, None, closed="left")],
        "step_factor": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, n_epochs=10, step_factor=0.1):
        self.n_epochs = n_epochs
        self.step_factor = step_factor

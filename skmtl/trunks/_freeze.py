"""A schedule that freezes the trunk for the first epochs."""

from numbers import Integral, Real
from typing import ClassVar

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval


class UnfreezeAfter(BaseEstimator):
    """Freeze the trunk for the first epochs, then train it with smaller steps.

    New heads start with random weights, and their first gradients would spoil a trunk
    that is already trained. So the heads are trained first [1]_. The step-size schedule
    runs over all epochs, frozen or not.

    Parameters
    ----------
    n_epochs : int, default=10
        Number of epochs that train only the heads.
    step_factor : float, default=0.1
        Factor on the step size of the trunk in the later epochs.

    See Also
    --------
    skmtl.MultiTaskNetClassifier : Its parameter `freeze` takes this object.

    References
    ----------
    .. [1] J. Howard, S. Ruder, "Universal Language Model Fine-tuning for Text
       Classification", ACL 2018, section 3.3. There, layers are unfrozen one by one.
       :arxiv:`1801.06146`

    Examples
    --------
    The first eight of twelve epochs train only the head of the new task:

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

"""The two extremes of sharing: one trunk for all tasks, or one for each task."""

import torch
from sklearn.base import BaseEstimator

from skmtl._network import Architecture, TrunkAndHeads


class HardSharing(BaseEstimator):
    """One trunk that all tasks share, and a separate head for each task.

    With hard parameter sharing [1]_, what the tasks have in common is learned once,
    from the labels of all of them.

    See Also
    --------
    NoSharing : A separate network for each task, to compare with.

    References
    ----------
    .. [1] R. Caruana, "Multitask Learning", Machine Learning 28, 41-75, 1997.
       :doi:`10.1023/A:1007379606734`

    Examples
    --------
    The object and the name "hard" mean the same:

    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.sharing import HardSharing
    >>> MultiTaskNetClassifier(sharing=HardSharing()).sharing
    HardSharing()
    """

    def build(
        self, architecture: Architecture, generator: torch.Generator
    ) -> TrunkAndHeads:
        """Build a network with random parameters.

        Parameters
        ----------
        architecture : Architecture
            Sizes of the network.
        generator : torch.Generator
            Source of the random parameters.

        Returns
        -------
        network : torch.nn.Module
            A network with `encode`, `decode` and `groups`.
        """
        return TrunkAndHeads(architecture, 1, generator)


class NoSharing(BaseEstimator):
    """A separate network for each task: no layer is shared.

    Use it to compare a joint network with separate networks of the same size. The
    networks are trained together and read the same batches, but a row without a label
    for a task does not enter that task's gradient.

    See Also
    --------
    HardSharing : One trunk for all tasks.

    Examples
    --------
    The network of a task has the same size whatever the number of tasks. Two members
    for each of three tasks have six times its 21 parameters:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> X, Y = np.eye(4)[:, :2], np.eye(4)[:, :3]
    >>> clf = MultiTaskNetClassifier((5,), sharing="none", n_members=2, max_iter=0)
    >>> sum(p.numel() for p in clf.fit(X, Y).network_.parameters())
    126
    """

    def build(
        self, architecture: Architecture, generator: torch.Generator
    ) -> TrunkAndHeads:
        """Build a network with random parameters.

        Parameters
        ----------
        architecture : Architecture
            Sizes of the network.
        generator : torch.Generator
            Source of the random parameters.

        Returns
        -------
        network : torch.nn.Module
            A network with `encode`, `decode` and `groups`.
        """
        return TrunkAndHeads(architecture, len(architecture.outputs), generator)

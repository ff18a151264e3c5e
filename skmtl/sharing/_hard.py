"""The two ends of the axis: one trunk for all tasks, or a trunk for each."""

import torch
from sklearn.base import BaseEstimator

from skmtl._network import Architecture, TrunkAndHeads


class HardSharing(BaseEstimator):
    """All tasks share one trunk; each has a head of its own.

    Hard parameter sharing [1]_: what the tasks have in common is learned once, from
    the labels of all of them.

    See Also
    --------
    NoSharing : A network per task, to compare with.

    References
    ----------
    .. [1] R. Caruana, "Multitask Learning", Machine Learning 28, 41-75, 1997.
       :doi:`10.1023/A:1007379606734`

    Examples
    --------
    The object and its name mean the same:

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
            With `encode`, `decode` and `groups`.
        """
        return TrunkAndHeads(architecture, 1, generator)


class NoSharing(BaseEstimator):
    """No layer is shared: each task has a trunk and a head of its own.

    The separate networks that a joint one is compared with, each of the same size,
    trained together in one pass. They see the same batches; a row without a label for
    a task does not enter that task's gradient.

    See Also
    --------
    HardSharing : One trunk for all tasks.

    Examples
    --------
    Parameters of one task's network do not depend on the number of tasks, so three
    tasks have three times as many, and each of the members too:

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
            With `encode`, `decode` and `groups`.
        """
        return TrunkAndHeads(architecture, len(architecture.outputs), generator)

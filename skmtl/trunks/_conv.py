"""A small convolutional trunk for images."""

import math
from numbers import Integral, Real
from typing import ClassVar

import torch
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn


class ConvTrunk(BaseEstimator):
    """A small convolutional network for images up to 64 x 64 pixels, on a CPU.

    Each entry of `channels` adds a stage of convolution, normalisation, ReLU and max
    pooling. The features are the mean and the largest value of each channel over the
    image, so that the network finds an object wherever it is. Group normalisation [1]_
    uses a single image, so the features of an image do not depend on the rest of its
    batch.

    Parameters
    ----------
    channels : array-like of int, default=(32, 64, 128)
        Number of channels of each stage.
    kernel_size : int, default=3
        Side length of the convolution kernels. It must be odd, so that the image keeps
        its size.
    pool_size : int, default=2
        Factor by which each stage shrinks the image; 1 for no pooling.
    dropout : float, default=0.2
        Rate at which the features that the heads read are dropped during training.
    input_shape : tuple of int or None, default=None
        The shape of an image, (channels, height, width) or (height, width), if the rows
        of `X` are flat. Not needed if `X` has these axes.

    See Also
    --------
    skmtl.MultiTaskNetClassifier : Its parameter `trunk` takes this object.

    References
    ----------
    .. [1] Y. Wu, K. He, "Group Normalization", ECCV 2018, equation 7.
       :arxiv:`1803.08494`

    Examples
    --------
    scikit-learn's digits are flat rows of 64 numbers from 0 to 16. The two tasks are
    whether a digit is odd, and whether it is at least 5:

    >>> from sklearn.datasets import load_digits
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.trunks import ConvTrunk
    >>> X, digit = load_digits(return_X_y=True)
    >>> Y = [[d % 2, d >= 5] for d in digit]
    >>> trunk = ConvTrunk((16, 32), input_shape=(8, 8))
    >>> clf = MultiTaskNetClassifier(
    ...     trunk=trunk, n_members=1, batch_size=32, max_iter=8, random_state=0
    ... )
    >>> clf.fit(X[:1200] / 16, Y[:1200]).score(X[1200:] / 16, Y[1200:]) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "channels": ["array-like"],
        "kernel_size": [Interval(Integral, 1, None, closed="left")],
        # torch reads it as a 32-bit integer.
        "pool_size": [Interval(Integral, 1, 2**31 - 1, closed="both")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "input_shape": [tuple, list, None],
    }

    def __init__(
        self,
        channels=(32, 64, 128),
        *,
        kernel_size=3,
        pool_size=2,
        dropout=0.2,
        input_shape=None,
    ):
        self.channels = channels
        self.kernel_size = kernel_size
        self.pool_size = pool_size
        self.dropout = dropout
        self.input_shape = input_shape

    def build(
        self, input_shape: tuple[int, ...], generator: torch.Generator
    ) -> nn.Module:
        """Build a module with random parameters.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one row of X.
        generator : torch.Generator
            Source of the random parameters.

        Returns
        -------
        module : torch.nn.Module
            `(batch, *input_shape)` -> `(batch, 2 * channels[-1])`.

        Raises
        ------
        ValueError
            If a parameter is invalid, or rows of this shape are not images.
        """
        self._validate_params()
        self._check_sizes()
        shape = self._image_shape(input_shape)
        stages: list[nn.Module] = []
        in_channels = shape[0]
        for out_channels in self.channels:
            convolution = nn.Conv2d(
                in_channels,
                out_channels,
                self.kernel_size,
                padding=self.kernel_size // 2,
                bias=False,  # the normalisation layer has one
                dtype=torch.float32,
            )
            nn.init.kaiming_normal_(
                convolution.weight, nonlinearity="relu", generator=generator
            )
            stages.append(_stage(convolution, self.pool_size))
            in_channels = out_channels
        first = [nn.Flatten(), nn.Unflatten(1, shape)]
        last = [_MeanAndMax(), nn.Dropout(self.dropout)]
        return nn.Sequential(*first, *stages, *last)

    def _check_sizes(self) -> None:
        channels = list(self.channels)
        if not channels or not all(
            isinstance(c, Integral) and int(c) > 0 for c in channels
        ):
            raise ValueError(
                "channels of ConvTrunk must be integers of at least 1, one per stage; "
                f"got {self.channels!r}. Pass a tuple such as (32, 64)."
            )
        if self.kernel_size % 2 == 0:
            raise ValueError(
                "kernel_size of ConvTrunk must be odd, so that an image keeps its "
                f"size; got {self.kernel_size}. Use {self.kernel_size + 1}."
            )

    def _image_shape(self, input_shape: tuple[int, ...]) -> tuple[int, int, int]:
        """(channels, height, width)."""
        shape = input_shape if self.input_shape is None else tuple(self.input_shape)
        if len(shape) == 2:  # one channel
            shape = (1, *shape)
        if len(shape) != 3 or math.prod(shape) != math.prod(input_shape):
            raise ValueError(
                "ConvTrunk must get images: rows of shape (channels, height, width) or "
                f"(height, width), or flat rows and a matching input_shape; got rows "
                f"of shape {input_shape} and input_shape={self.input_shape!r}. Pass "
                "the shape of an image, for example ConvTrunk(input_shape=(1, 8, 8)) "
                "for 64 columns."
            )
        return shape[0], shape[1], shape[2]


def _stage(convolution: nn.Conv2d, pool_size: int) -> nn.Module:
    n_channels = convolution.out_channels
    layers: list[nn.Module] = [
        convolution,
        nn.GroupNorm(math.gcd(8, n_channels), n_channels, dtype=torch.float32),
        nn.ReLU(inplace=True),
    ]
    if pool_size > 1:  # a side that is too short shrinks to 1
        layers.append(nn.MaxPool2d(pool_size, ceil_mode=True))
    return nn.Sequential(*layers)


class _MeanAndMax(nn.Module):
    """(batch, channels, height, width) -> (batch, 2 * channels)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)

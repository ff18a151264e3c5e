"""Trunks of your own: pictures, modules with weights, and how long they are frozen.

The `trunk` parameter of `MultiTaskNetClassifier` takes

- a spec such as :class:`ConvTrunk`, whose `build(input_shape, generator)` makes a
  `torch.nn.Module`;
- any callable `trunk(input_shape, generator)` that makes one, so a class or a
  `functools.partial`;
- or a module itself, which is copied: a backbone whose weights are to be used.

`input_shape` is the shape of one row of `X`, `(n_features,)` for a table. The module
gets float32 rows `(batch, *input_shape)`, numbers of uint8 divided by 255, and must
give `(batch, width)`. It is built once for each member, and with `sharing="none"` for
each task. What it draws at random, when it is built and in training, is decided by the
estimator's `random_state`: `torch.nn.Dropout` is replaced by one with a generator of
its own; a module that draws from torch's global generator in training is run with that
generator seeded from ours and put back, under a lock, so that fits in several threads
wait for one another.
"""

from skmtl.trunks._conv import ConvTrunk
from skmtl.trunks._freeze import UnfreezeAfter

__all__ = ["ConvTrunk", "UnfreezeAfter"]

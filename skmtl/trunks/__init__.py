"""Trunks of your own: for images, with pretrained weights, frozen or not.

The `trunk` parameter of the estimators takes

- a spec such as :class:`ConvTrunk`, with a method `build(input_shape, generator)` that
  returns a `torch.nn.Module`;
- any callable `trunk(input_shape, generator)` that returns a module, such as a class or
  a `functools.partial`;
- a module, which is copied: use it for a backbone with pretrained weights.

`input_shape` is the shape of one row of `X`, `(n_features,)` for a table. The module
reads float32 rows of shape `(batch, *input_shape)`, with uint8 values divided by 255.
It must return features of shape `(batch, width)`. It is built once for each member and,
with `sharing="none"`, for each task.

The estimator's `random_state` determines all random numbers, both when the module is
built and during training. `torch.nn.Dropout` is replaced by a version with its own
generator. If a module draws from torch's global generator during training, this
generator is seeded for the step and restored afterwards. A lock protects it, so fits in
several threads take turns.
"""

from skmtl.trunks._conv import ConvTrunk
from skmtl.trunks._freeze import UnfreezeAfter

__all__ = ["ConvTrunk", "UnfreezeAfter"]

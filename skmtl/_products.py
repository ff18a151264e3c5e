"""Matrix products in float32 by the fastest kernel at hand.

MKL, which torch calls, leaves half of the width of vectors unused on processors of AMD:
there the kernels of oneDNN, which torch brings as well, take half the time.
"""

import torch
from torch import Tensor

# Multiply-adds from which oneDNN makes up for what it takes to be called.
MIN_ONEDNN_WORK = 5_000_000
# Narrower products are left to MKL.
MIN_ONEDNN_WIDTH = 32

HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(
    torch.ops.mkldnn, "_linear_pointwise"
)


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(n, k), (k, m), (m,) -> x @ weight + bias."""
    if _suits_onednn(x, weight):
        return _onednn_product(x, weight, bias)
    return torch.addmm(bias, x, weight)


def product(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """(n, k), (k, m) -> a @ b, in `out` if it is given."""
    if not _suits_onednn(a, b):
        return torch.mm(a, b, out=out)
    result = _onednn_product(a, b, None)
    return result if out is None else out.copy_(result)


def batched_affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(g, n, k), (g, k, m), (g, 1, m) -> x @ weight + bias for each of the g."""
    if _suits_onednn(x[0], weight[0]):
        return batched_product(x, weight).add_(bias)
    if weight.shape[2] == 1:
        # A product with one column is bound by memory: reads x as it lies there.
        return (x * weight.mT).sum(2, keepdim=True).add_(bias)
    return torch.baddbmm(bias, x, weight)


def batched_product(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """(g, n, k), (g, k, m) -> a @ b for each of the g, in `out` if it is given."""
    if not _suits_onednn(a[0], b[0]):
        return torch.bmm(a, b, out=out)
    if out is None:
        out = a.new_empty(len(a), a.shape[1], b.shape[2])
    for i in range(len(a)):
        out[i] = _onednn_product(a[i], b[i], None)
    return out


def _suits_onednn(a: Tensor, b: Tensor) -> bool:
    (n, k), m = a.shape, b.shape[1]
    return (
        n * k * m >= MIN_ONEDNN_WORK
        and min(n, k, m) >= MIN_ONEDNN_WIDTH
        and HAS_ONEDNN
        and a.dtype == torch.float32
        and a.device.type == "cpu"
        and not torch.is_grad_enabled()  # it has no derivative
    )


def _onednn_product(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    result: Tensor = torch.ops.mkldnn._linear_pointwise(a, b.T, bias, "none", [], "")
    return result

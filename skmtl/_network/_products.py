"""The matrix products of a linear layer in float32, each with the fastest kernel.

On AMD processors with AVX-512, MKL, which torch calls, uses only half the vector width.
There, the kernels of oneDNN, which torch also includes, take half the time for a large
product. On Intel processors, and with AVX2, MKL is 5 to 40 % faster.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from skmtl._cleanup import at_the_end

# Smallest numbers of multiply-adds for which oneDNN makes up for the cost of the call,
# and for the copy of a transposed matrix.
MIN_WORK = 1_500_000
MIN_TRANSPOSED_WORK = 5_000_000
# With fewer rows or columns, oneDNN is slow in a product without a bias.
NARROW = 16
# The gradient of so few columns takes MKL half the time if it is computed transposed,
# from this many rows on.
FEW_COLUMNS, MANY_ROWS = 12, 128

_thread = threading.local()
HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(
    torch.ops.mkldnn, "_linear_pointwise"
)
_HAS_AVX512 = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
# Only processors of AMD, and those derived from them, have SSE4a.
_IS_FROM_AMD = torch.cpu.get_capabilities().get("sse4a", False)
_IS_FASTER = _HAS_AVX512 and _IS_FROM_AMD


@contextlib.contextmanager
def without_derivatives(device: torch.device) -> Iterator[None]:
    """A context in which nobody needs derivatives, and the precision stays float32.

    The kernels of oneDNN have no derivatives, forward or backward, and cannot be
    traced. Outside this context, all products use torch's own kernels.
    """
    may_use_onednn = getattr(_thread, "may_use_onednn", False)
    has_grad = torch.is_grad_enabled()
    has_autocast = torch.is_autocast_enabled(device.type)

    def restore() -> None:
        _thread.may_use_onednn = may_use_onednn
        torch.set_grad_enabled(has_grad)
        torch.set_autocast_enabled(device.type, has_autocast)

    with at_the_end(restore):
        _thread.may_use_onednn = HAS_ONEDNN and _IS_FASTER
        torch.set_grad_enabled(False)
        torch.set_autocast_enabled(device.type, False)
        yield


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(n, k), (k, m), (m,) -> x @ weight + bias."""
    n_outputs = weight.shape[1]
    if n_outputs > 1 and _can_use_onednn(x) and x.numel() * n_outputs >= MIN_WORK:
        return _onednn(x, weight, bias)
    return torch.addmm(bias, x, weight)


def product(a: Tensor, b: Tensor) -> Tensor:
    """(n, k), (k, m) -> a @ b."""
    return _onednn(a, b) if _is_large(a, b) else torch.mm(a, b)


def weight_gradient(x: Tensor, gradient: Tensor, out: Tensor) -> None:
    """(n, k), (n, m) -> x.T @ gradient, in `out`."""
    if gradient.shape[1] > 1 and _has_few_columns(gradient):
        out.copy_((gradient.T @ x).T)
    elif _is_large(x.T, gradient, MIN_TRANSPOSED_WORK):
        out.copy_(_onednn(x.T, gradient))
    else:
        torch.mm(x.T, gradient, out=out)


def batched_affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(g, n, k), (g, k, m), (g, 1, m) -> x @ weight + bias for each of the g."""
    if _is_large(x[0], weight[0]):
        return batched_product(x, weight).add_(bias)
    return torch.baddbmm(bias, x, weight)


def batched_product(a: Tensor, b: Tensor) -> Tensor:
    """(g, n, k), (g, k, m) -> a @ b for each of the g."""
    if a.shape[2] == 1:
        return a * b
    if not _is_large(a[0], b[0]):
        return torch.bmm(a, b)
    return torch.stack([_onednn(*pair) for pair in zip(a, b, strict=True)])


def batched_weight_gradient(x: Tensor, gradient: Tensor, out: Tensor) -> None:
    """(g, n, k), (g, n, m) -> x.mT @ gradient for each of the g, in `out`."""
    if _has_few_columns(gradient):
        out.copy_(torch.bmm(gradient.mT, x).mT)
    elif _is_large(x[0].T, gradient[0], MIN_TRANSPOSED_WORK):
        for parts in zip(x, gradient, out, strict=True):
            weight_gradient(*parts)
    else:
        torch.bmm(x.mT, gradient, out=out)


def _has_few_columns(a: Tensor) -> bool:
    """Whether there are few columns, but many rows."""
    n_rows, n_columns = a.shape[-2:]
    return n_columns <= FEW_COLUMNS and n_rows >= MANY_ROWS


def _is_large(a: Tensor, b: Tensor, min_work: int = MIN_WORK) -> bool:
    return (
        _can_use_onednn(a)
        and a.numel() * b.shape[1] >= min_work
        and min(*a.shape, b.shape[1]) > NARROW
    )


def _can_use_onednn(a: Tensor) -> bool:
    return (
        getattr(_thread, "may_use_onednn", False)
        and a.dtype == torch.float32
        and a.device.type == "cpu"
    )


def _onednn(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    if not (b.is_contiguous() or b.T.is_contiguous()):
        # Some columns of a matrix: oneDNN has no fast kernel that reads them in place,
        # and would take a thousand times as long.
        b = b.contiguous()
    result: Any = torch.ops.mkldnn._linear_pointwise(a, b.T, bias, "none", [], "")
    return result

import pytest
import torch
from numpy.testing import assert_allclose

from skmtl._network._products import (
    HAS_ONEDNN,
    affine,
    batched_affine,
    batched_product,
    batched_weight_gradient,
    product,
    weight_gradient,
    without_derivatives,
)

CPU = torch.device("cpu")


@pytest.fixture(autouse=True, params=[True, False], ids=["oneDNN", "MKL"])
def is_faster(request, monkeypatch):
    """Both kernels, whatever the processor."""
    monkeypatch.setattr("skmtl._network._products._IS_FASTER", request.param)
    return request.param


# Small and large, with one, few and many columns: every kernel has a case.
SIZES = [
    (7, 5, 1),
    (7, 5, 3),
    (7, 5, 40),
    (2000, 300, 1),
    (2000, 300, 8),
    (300, 200, 100),
    (20, 400, 900),
]
every_size = pytest.mark.parametrize(("n", "k", "m"), SIZES)


def random(*shape, layout="rows"):
    generator = torch.Generator().manual_seed(sum(shape))
    *rest, n, k = 1, *shape
    if layout == "columns":
        return torch.randn(*rest, k, n, generator=generator).mT.view(shape)
    if layout == "part of a matrix":
        return torch.randn(*rest, n, k + 3, generator=generator)[..., 1:-2].view(shape)
    return torch.randn(*shape, generator=generator)


def assert_close(found, expected):
    assert found.dtype == torch.float32
    assert_allclose(found, expected, rtol=1e-5, atol=1e-3)


@every_size
@pytest.mark.parametrize("layout", ["rows", "columns", "part of a matrix"])
def test_products_are_those_of_double_precision(n, k, m, layout):
    x, weight = random(n, k, layout=layout), random(k, m)
    bias, gradient = random(m), random(n, m, layout=layout)
    wide = [t.double() for t in (x, weight, bias, gradient)]
    with without_derivatives(CPU):
        assert_close(affine(x, weight, bias), wide[0] @ wide[1] + wide[2])
        assert_close(product(gradient, weight.T), wide[3] @ wide[1].T)
        out = torch.full((k, m), torch.nan)
        weight_gradient(x, gradient, out)
        assert_close(out, wide[0].T @ wide[3])


@every_size
def test_batched_products_are_those_of_double_precision(n, k, m):
    x, weight = random(3, n, k), random(3, k, m)
    bias, gradient = random(3, 1, m), random(3, n, m)
    wide = [t.double() for t in (x, weight, bias, gradient)]
    with without_derivatives(CPU):
        assert_close(batched_affine(x, weight, bias), wide[0] @ wide[1] + wide[2])
        assert_close(batched_product(gradient, weight.mT), wide[3] @ wide[1].mT)
        out = torch.full((3, k, m), torch.nan)
        batched_weight_gradient(x, gradient, out)
        assert_close(out, wide[0].mT @ wide[3])


@every_size
def test_products_have_a_derivative(n, k, m):
    x, weight = random(n, k).requires_grad_(), random(k, m).requires_grad_()
    gradient = random(n, m)
    affine(x, weight, random(m)).backward(gradient)
    assert_close(x.grad, (gradient.double() @ weight.double().T).detach())
    assert_close(weight.grad, (x.double().T @ gradient.double()).detach())


# torch loads rules of forward derivatives through a function that it has deprecated.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is ")
def test_forward_derivatives_without_a_gradient():
    x, weight, bias = random(300, 200), random(200, 100), random(100)
    with torch.no_grad():
        out, tangent = torch.func.jvp(
            lambda x: affine(x, weight, bias), (x,), (torch.ones_like(x),)
        )
    assert_close(out, x.double() @ weight.double() + bias.double())
    assert_close(tangent, torch.ones_like(x).double() @ weight.double())


@pytest.mark.skipif(not HAS_ONEDNN, reason="this build of torch has no oneDNN")
def test_large_products_go_to_onednn_where_it_is_faster(is_faster):
    with torch.profiler.profile() as profile, without_derivatives(CPU):
        affine(random(300, 200), random(200, 100), random(100))
    called = {event.key for event in profile.key_averages()}
    assert ("mkldnn::_linear_pointwise" in called) == is_faster

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from skmtl._layers import (
    ACTIVATIONS,
    BankStack,
    LinearBank,
    SparseRows,
    apply_dropout,
    output_groups,
)


def make_bank(n_inputs, n_readers, in_features=4, out_features=3, activation="relu"):
    bank = LinearBank(n_inputs, in_features, n_readers, out_features)
    bank.initialize(activation, torch.Generator().manual_seed(0))
    return bank.double()


@pytest.mark.parametrize(("n_inputs", "n_readers"), [(1, 1), (1, 5), (5, 1), (2, 3)])
def test_bank_equals_a_loop_over_its_maps(n_inputs, n_readers):
    bank = make_bank(n_inputs, n_readers)
    x = torch.randn(n_inputs, 7, 4, dtype=torch.float64)
    out = bank(x)
    assert out.shape == (n_inputs, 7, n_readers, 3)
    for i in range(n_inputs):
        for r in range(n_readers):
            expected = x[i] @ bank.weight[i, :, r] + bank.bias[i, :, r]
            assert_allclose(out[i, :, r].detach(), expected.detach(), rtol=1e-12)


def test_sparse_rows_give_the_same_values_and_gradients_as_dense_ones():
    dense = np.random.default_rng(0).normal(size=(6, 4))
    dense[np.abs(dense) < 0.7] = 0
    dense[2] = 0
    X = sparse.csr_array(dense)
    rows = SparseRows(
        torch.from_numpy(X.indices),
        torch.from_numpy(X.indptr),
        torch.from_numpy(X.data),
    )
    gradients = []
    for x in (rows, torch.from_numpy(dense).unsqueeze(0)):
        bank = make_bank(1, 2)
        out = bank(x)
        out.square().sum().backward()
        gradients.append((out.detach(), bank.weight.grad, bank.bias.grad))
    for from_sparse, from_dense in zip(*gradients, strict=True):
        assert_allclose(from_sparse, from_dense, atol=1e-14)


@pytest.mark.parametrize("activation", ["relu", "logistic"])
def test_initial_parameters_have_the_range_of_glorot(activation):
    bank = make_bank(1, 1, 300, 200, activation)
    bound = math.sqrt((2 if activation == "logistic" else 6) / 500)
    for parameter in (bank.weight, bank.bias):
        assert parameter.abs().max() <= bound
        assert parameter.abs().max() > 0.95 * bound
    assert abs(bank.weight.mean()) < 0.02 * bound


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activations_are_those_of_the_textbook(name):
    z = np.linspace(-4, 4, 9)
    expected = {
        "identity": z,
        "logistic": 1 / (1 + np.exp(-z)),
        "tanh": np.tanh(z),
        "relu": np.maximum(z, 0),
        "gelu": z * 0.5 * (1 + np.array([math.erf(v / math.sqrt(2)) for v in z])),
        "silu": z / (1 + np.exp(-z)),
    }
    assert_allclose(ACTIVATIONS[name](torch.from_numpy(z)), expected[name], atol=1e-14)


def test_dropout_drops_at_its_rate_and_keeps_the_mean():
    x = torch.ones(100_000)
    kept = apply_dropout(x, 0.3, torch.Generator().manual_seed(0))
    assert_allclose(kept.unique(), [0, 1 / 0.7], rtol=1e-6)
    assert (kept == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert apply_dropout(x, 0.3, None) is x


def test_stack_without_layers_between_is_its_last_layer():
    stack = BankStack(
        (4, 3),
        n_inputs=1,
        n_banks=2,
        activation="relu",
        dropout=0.0,
        activate_last=False,
        generator=torch.Generator().manual_seed(0),
    )
    x = torch.randn(1, 5, 4)
    assert_array_equal(stack(x, None).detach(), stack.layers[0](x).detach())


def test_output_groups_hold_every_task_and_column_once():
    n_classes = (2, 4, 2, 1, 4, 3)
    groups = output_groups(n_classes)
    assert sorted(t for group in groups for t in group.tasks) == list(range(6))
    columns = [c for g in groups for c in range(g.columns.start, g.columns.stop)]
    assert columns == list(range(1 + 1 + 1 + 4 + 4 + 3))
    for group in groups:
        assert {n_classes[t] for t in group.tasks} == {group.n_classes}

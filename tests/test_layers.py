import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.preprocessing import OneHotEncoder, SplineTransformer

from skmtl._inputs import learn_encoding
from skmtl._network import ACTIVATIONS, ColumnEncoder, SparseRows, split_with_columns
from skmtl._network._banks import LinearBank, LinearPass, weighted_sum
from skmtl._network._columns import ColumnBank, ColumnPass
from skmtl._network._dropout import apply_dropout
from skmtl._network._stacks import BankStack
from skmtl._outputs import kind_of_classes, output_groups


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


@pytest.mark.parametrize("precomputed", [False, True])
def test_gradients_of_sparse_rows_forget_the_batch_before(precomputed):
    bank = make_bank(1, 2, in_features=50)
    for parameter in bank.parameters():
        parameter.grad = torch.full_like(parameter, np.nan)
    step = LinearPass(bank)
    rng = np.random.default_rng(0)
    # Few columns, others, most of them, none at all, and few again.
    for density in (0.02, 0.02, 0.9, 0.02, 0.0, 0.02):
        X = sparse.random_array((6, 50), density=density, random_state=rng).tocsr()
        rows = SparseRows(*map(torch.from_numpy, (X.indices, X.indptr, X.data)))
        if precomputed:
            (rows,) = split_with_columns(rows, 6, 50)
        gradient = torch.randn(6, 6, dtype=torch.float64)
        with torch.no_grad():
            assert step.backward(rows, gradient, wants_input=False) is None
        expected = X.T @ gradient.numpy()
        assert_allclose(bank.weight.grad[0].flatten(1), expected, atol=1e-14)
        assert_allclose(bank.bias.grad.flatten(), gradient.sum(0), atol=1e-14)


@pytest.mark.parametrize("most_columns", [1, 30, 1000])
def test_batches_know_their_columns(monkeypatch, most_columns):
    monkeypatch.setattr("skmtl._network._columns.MAX_COLUMNS_AT_ONCE", most_columns)
    dense = sparse.random_array((17, 12), density=0.3, random_state=0).toarray()
    dense[4:8] = 0  # a batch without entries
    X = sparse.csr_array(dense)
    rows = SparseRows(*map(torch.from_numpy, (X.indices, X.indptr, X.data)))
    batches = list(split_with_columns(rows, 4, 12))
    assert [len(batch.offsets) - 1 for batch in batches] == [4, 4, 4, 4, 1]
    for i, batch in enumerate(batches):
        indices, offsets, values, _ = batch.columns
        parts = values.numpy(), indices.numpy(), offsets.numpy()
        expected = dense[4 * i : 4 * i + 4].T
        columns = sparse.csr_array(parts, shape=expected.shape)
        assert_array_equal(columns.toarray(), expected)


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
    rate = 77 / 256  # the multiple of 1/256 that is nearest to 0.3
    assert_allclose(kept.unique(), [0, 1 / (1 - rate)], rtol=1e-6)
    # Four standard errors.
    assert (kept == 0).float().mean().item() == pytest.approx(rate, abs=0.006)
    assert kept.mean().item() == pytest.approx(1, abs=0.01)
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
    assert_array_equal(stack(x, None).detach(), stack.layers[0](x).flatten(2).detach())


def test_output_groups_hold_every_task_and_column_once():
    n_classes = (2, 4, 2, 1, 4, 3)
    groups = output_groups(tuple(map(kind_of_classes, n_classes)))
    assert sorted(t for group in groups for t in group.tasks) == list(range(6))
    columns = [c for g in groups for c in range(g.columns.start, g.columns.stop)]
    assert columns == list(range(1 + 1 + 1 + 4 + 4 + 3))
    for group in groups:
        assert {n_classes[t] for t in group.tasks} == {group.kind.n_classes}


# The input layer ------------------------------------------------------------------


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_weighted_sum_is_a_product_with_its_gradient(index):
    X = sparse.random_array((9, 7), density=0.3, random_state=0).tocsr()
    # Unsorted and repeated indices, an explicit zero and an empty row.
    X.indices[:4] = [6, 2, 2, 0]
    X.data[5] = 0
    X.indptr[3] = X.indptr[2]
    rows = SparseRows(
        torch.from_numpy(X.indices.astype(index)),
        torch.from_numpy(X.indptr.astype(index)),
        torch.from_numpy(X.data),
    )
    table = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    out = weighted_sum(table, rows)
    assert_allclose(out.detach(), X @ table.detach().numpy(), atol=1e-14)
    gradient = torch.randn(9, 3, dtype=torch.float64)
    out.backward(gradient)
    assert_allclose(table.grad, X.T @ gradient.numpy(), atol=1e-14)


def raw_table(n=300, seed=0):
    """Numbers (one skewed, one of four values, one binary), NaN, and categories."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 7))
    X[:, 1] = 1e9 + np.exp(3 * X[:, 1])
    X[:, 2] = rng.integers(4, size=n)
    X[:, 3] = rng.integers(2, size=n)
    X[:, 4] = 1.0
    X[:, 5] = rng.integers(6, size=n)
    X[:, 6] = rng.integers(3, size=n)
    X[rng.random(n) < 0.2, 0] = np.nan
    X[rng.random(n) < 0.2, 5] = np.nan
    return X


def input_layer(X, categorical=(5, 6), n_bins=5, n_readers=2, seed=0):
    """Encoder, and bank in float64 with weights that are nowhere 0."""
    encoding = learn_encoding(
        X,
        {j: range(6) for j in categorical},
        n_bins,
        rows=np.arange(len(X)),
        row_weight=None,
        rng=np.random.RandomState(0),
    )
    bank = ColumnBank(encoding, n_readers, 3)
    generator = torch.Generator().manual_seed(seed)
    bank.initialize("relu", generator)
    with torch.no_grad():
        bank.weight.normal_(generator=generator)
    return encoding, ColumnEncoder(encoding).double(), bank.double()


def wide_matrix(encoding, X):
    """The columns that the weights of a bank belong to, by the plainest means."""
    numeric, blocks, missing, bins = encoding.numeric, [], [], []
    for k, j in enumerate(numeric.positions):
        n, x = numeric.n_knots[k], X[:, j]
        knots = 2 * numeric.knots[k, :n]
        present = ~np.isnan(x)
        z = np.interp(x, knots, numeric.scores[k, :n])
        blocks.append(np.where(present, z, 0)[:, None])
        if numeric.has_missing[k]:
            missing.append(~present[:, None])
        if n > 2:
            filled = ((x[:, None] - knots[:-1]) / np.diff(knots)).clip(0, 1)
            centred = 0.2 * (filled - numeric.bin_means[k, : n - 1])
            wide = np.zeros((len(X), numeric.bin_means.shape[1]))
            wide[present, : n - 1] = centred[present]
            bins.append(wide)
    categories = [
        OneHotEncoder(sparse_output=False).fit_transform(X[:, [j]])[:, order]
        for j, order in ((5, [6, 0, 1, 2, 3, 4, 5]), (6, [0, 1, 2]))
    ]
    return np.hstack([*blocks, *missing, *bins, *categories])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_bins", [1, 2, 5, 40])
def test_input_layer_equals_a_dense_layer_on_the_wide_matrix(n_bins, dtype):
    X = raw_table().astype(dtype)
    encoding, encoder, bank = input_layer(X, n_bins=n_bins)
    wide = torch.from_numpy(wide_matrix(encoding, X.astype(np.float64)))
    out = bank(encoder(torch.from_numpy(X), 0.0, None))
    weight = bank.weight.detach().clone().requires_grad_()
    bias = bank.bias.detach().clone().requires_grad_()
    expected = torch.einsum("ij,ajro->airo", wide, weight) + bias
    assert out.shape == (1, len(X), 2, 3)
    assert_allclose(out.detach(), expected.detach(), atol=2e-6)
    for result in (out, expected):
        result.square().sum().backward()
    assert_allclose(bank.weight.grad, weight.grad, rtol=1e-6, atol=1e-4)
    assert_allclose(bank.bias.grad, bias.grad, rtol=1e-6)


@pytest.mark.parametrize(
    ("columns", "categorical"),
    [
        ([5], [0]),
        ([3, 5], [1]),
        ([4, 6], [1]),
        ([0, 5, 6], [1, 2]),
        ([3], []),
        ([4], []),
    ],
)
@pytest.mark.parametrize("n_bins", [1, 5])
def test_gradients_whatever_kinds_of_columns_there_are(columns, categorical, n_bins):
    X = raw_table()[:, columns]
    _, encoder, bank = input_layer(X, categorical, n_bins)
    x = np.vstack([X, np.full_like(X[:1], np.nan)])
    if categorical:
        x[-1, categorical] = -1
    encoded = encoder(torch.from_numpy(x), 0.0, None)
    out = bank(encoded)
    gradient = torch.randn(out.shape, dtype=torch.float64)
    out.backward(gradient)
    expected = bank.weight.grad.clone(), bank.bias.grad.clone()
    bank.weight.grad.fill_(np.nan)
    bank.bias.grad.fill_(np.nan)
    with torch.no_grad():
        ColumnPass(bank).backward(encoded, gradient[0].flatten(1))
    assert_allclose(bank.weight.grad, expected[0], atol=1e-12)
    assert_allclose(bank.bias.grad, expected[1], atol=1e-12)


def test_curves_equal_a_dense_layer_on_splines():
    X = np.random.default_rng(0).normal(size=(200, 3))
    encoding, encoder, bank = input_layer(X, categorical=())
    knots = 2 * encoding.numeric.knots
    splines = SplineTransformer(degree=1, knots=knots.T, extrapolation="constant")
    hats = torch.from_numpy(splines.fit_transform(X))
    at_knots = torch.from_numpy(2 * encoding.numeric.knots).T.contiguous()
    weight, bias = bank.weight.detach()[0].flatten(1), bank.bias.detach().flatten()
    inputs = encoder(at_knots, 0.0, None).numbers.double()
    linear, curve = inputs.split([3, 3 * 5], dim=1)
    by_column = torch.einsum("kj,jo->jko", linear, weight[:3])
    by_column += torch.einsum(
        "kjb,jbo->jko", curve.view(6, 3, 5), weight[3:].view(3, 5, -1)
    )
    expected = hats @ by_column.flatten(0, 1) + bias
    out = bank(encoder(torch.from_numpy(X), 0.0, None))
    assert_allclose(out.detach().flatten(2)[0], expected, atol=2e-6)


@pytest.mark.parametrize("limit", [256, 0])
def test_what_training_did_not_show_gets_the_mean_response(monkeypatch, limit):
    monkeypatch.setattr(ColumnEncoder, "MAX_INDICATORS", limit)
    X = raw_table()
    X = X[~np.isnan(X).any(axis=1)]
    _, encoder, bank = input_layer(X)
    response = bank(encoder(torch.from_numpy(X), 0.0, None)).mean(dim=1)
    unseen = np.array([[np.nan] * 5 + [-1, np.nan], [np.nan] * 6 + [-1]])
    out = bank(encoder(torch.from_numpy(unseen), 0.0, None))
    for i in range(2):
        assert_allclose(out[:, i].detach(), response.detach(), atol=2e-6)


def test_columns_are_clipped_far_out():
    X = raw_table()
    _, encoder, bank = input_layer(X)
    far = np.array([X[3]] * 4)
    far[:, 1] = [np.finfo(float).max, 1e30, np.finfo(float).min, -1e30]
    out = bank(encoder(torch.from_numpy(far), 0.0, None))[0].detach()
    assert torch.equal(out[0], out[1])
    assert torch.equal(out[2], out[3])
    assert not torch.equal(out[0], out[2])


def test_numbers_of_any_size_keep_their_order():
    big, tiny = np.finfo(np.float64).max, np.finfo(np.float64).smallest_subnormal
    for values in ([-big, 0, big], [-big, -tiny, big], [0, 2 * tiny, 4 * tiny]):
        X = np.array(values)[:, None]
        encoding, encoder, _ = input_layer(X, categorical=())
        scores = encoder(torch.from_numpy(X), 0.0, None).numbers[:, 0]
        assert_allclose(scores, encoding.numeric.scores[0, :3], rtol=1e-6)


@pytest.fixture
def many_categories(monkeypatch):
    """As if there were too many for a column of each."""
    monkeypatch.setattr(ColumnEncoder, "MAX_INDICATORS", 0)


def test_categories_as_columns_and_as_rows_of_a_table_are_the_same(monkeypatch):
    X = raw_table()
    X[7, 5:] = -1  # unknown
    results = []
    for limit in (256, 0):
        monkeypatch.setattr(ColumnEncoder, "MAX_INDICATORS", limit)
        _, encoder, bank = input_layer(X)
        encoded = encoder(torch.from_numpy(X), 0.0, None)
        assert (encoded.categories is None) == (limit > 0)
        for parameter in bank.parameters():
            parameter.grad = torch.full_like(parameter, np.nan)
        passes = ColumnPass(bank)
        with torch.no_grad():
            out = passes.forward(encoded)
            passes.backward(encoded, out.square())
        gradients = [parameter.grad.flatten() for parameter in bank.parameters()]
        results.append(torch.cat([out.flatten(), *gradients]))
    assert_allclose(*results, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("many_categories")
def test_dropout_drops_whole_columns_and_keeps_the_mean():
    X = raw_table()
    encoding, encoder, bank = input_layer(X)
    row = torch.from_numpy(X[[np.flatnonzero(np.isfinite(X).all(axis=1))[0]]])
    expected = bank(encoder(row, 0.0, None)).detach()
    generator = torch.Generator().manual_seed(0)
    repeated = row.expand(20_000, -1)
    dropped = encoder(repeated, 0.3, generator)
    out = bank(dropped).detach()
    spread = out.std(dim=1) / math.sqrt(20_000)
    assert ((out.mean(dim=1) - expected[:, 0]).abs() < 5 * spread).all()
    # The score and the bins of a column go together.
    whole, n_curved = encoder(row, 0.0, None).numbers, encoding.numeric.n_curved
    kept = dropped.numbers[:, :n_curved] / whole[:, :n_curved]
    assert_allclose(kept.unique(), [0, 256 / (256 - 77)], rtol=1e-4)
    n_bins = encoding.numeric.bin_means.shape[1]
    bins, whole_bins = (
        part[:, -n_curved * n_bins :].unflatten(1, (n_curved, n_bins))
        for part in (dropped.numbers, whole)
    )
    assert_allclose(bins, kept.unsqueeze(2) * whole_bins, rtol=1e-6)
    of_category = dropped.categories.values.view(20_000, -1)
    for factors in (kept, of_category):
        assert (factors > 0).double().mean().item() == pytest.approx(0.7, abs=0.01)
    # Each column is dropped on its own.
    columns = torch.cat([kept, of_category], dim=1) > 0
    correlation = torch.corrcoef(columns.double().T)
    assert_allclose(correlation, np.eye(len(correlation)), atol=0.05)


@pytest.mark.usefixtures("many_categories")
def test_dropout_drops_unknown_categories_too():
    X = raw_table()
    _, encoder, _ = input_layer(X)
    unknown = np.repeat(X[:1], 2000, axis=0)
    unknown[:, 6] = -1
    encoded = encoder(torch.from_numpy(unknown), 0.4, torch.Generator().manual_seed(0))
    factors = encoded.unknown[:, 1]
    assert_allclose(factors.unique(), [0, 256 / (256 - 102)], rtol=1e-4)
    assert (factors == 0).double().mean().item() == pytest.approx(0.4, abs=0.05)


@pytest.mark.usefixtures("many_categories")
def test_dropout_drops_missing_numbers_with_their_column():
    X = raw_table()
    encoding, encoder, _ = input_layer(X)
    column = np.flatnonzero(encoding.numeric.has_missing)[0]
    missing = np.repeat(X[:1], 2000, axis=0)
    missing[:, encoding.numeric.positions[column]] = np.nan
    encoded = encoder(torch.from_numpy(missing), 0.4, torch.Generator().manual_seed(0))
    n_numeric = len(encoding.numeric.positions)
    indicator = encoded.numbers[:, n_numeric]  # of the first column that has gaps
    assert_allclose(indicator.unique(), [0, 256 / (256 - 102)], rtol=1e-4)
    assert (indicator == 0).double().mean().item() == pytest.approx(0.4, abs=0.05)
    # A missing number has neither a score nor a place among the bins.
    assert not encoded.numbers[:, column].any()
    assert not encoded.numbers.isnan().any()


def test_curves_begin_at_0_and_the_rest_as_a_layer_with_an_input_per_column():
    X = raw_table()
    encoding, _, _ = input_layer(X)
    bank = ColumnBank(encoding, 50, 40)
    bank.initialize("relu", torch.Generator().manual_seed(0))
    linear, curve, rows = bank.weight.split(bank.sizes, dim=1)
    assert not curve.any()
    bound = math.sqrt(6 / (6 + 40))
    for part in (linear, rows, bank.bias):
        assert 0.98 * bound < part.abs().max() <= bound


def test_an_input_that_never_varies_leaves_the_bias():
    _, encoder, bank = input_layer(np.ones((5, 2)), categorical=())
    out = bank(encoder(torch.randn(4, 2), 0.0, None))
    assert torch.equal(out, bank.bias.expand(1, 4, 2, 3))


@pytest.mark.parametrize("rate", [1e-3, 0.5, 0.999, 1 - 1e-9])
def test_dropout_of_any_rate_keeps_the_mean(rate):
    x = torch.ones(1_000_001)
    kept = apply_dropout(x, rate, torch.Generator().manual_seed(0))
    assert kept.isfinite().all()
    assert len(kept.unique()) == 2
    spread = kept.std() / math.sqrt(len(x))
    assert abs(kept.mean() - 1) < 5 * spread
    # Neighbours come from one random word, and are independent all the same.
    dropped = (kept == 0).double()
    for lag in (1, 2, 3, 4):
        pairs = torch.stack([dropped[:-lag], dropped[lag:]])
        assert abs(torch.corrcoef(pairs)[0, 1]) < 5e-3

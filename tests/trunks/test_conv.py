import numpy as np
import pytest
import torch
from _estimators import classifier
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.datasets import load_digits

from skmtl.trunks import ConvTrunk


def built(row_shape=(3, 9, 7), seed=0, **settings):
    trunk = ConvTrunk(**({"channels": (8, 12)} | settings))
    return trunk.build(row_shape, torch.Generator().manual_seed(seed)).eval()


@pytest.mark.parametrize(
    ("row_shape", "settings"),
    [
        ((3, 9, 7), {}),
        ((9, 7), {}),
        ((63,), {"input_shape": (9, 7)}),
        ((63,), {"input_shape": (1, 9, 7)}),
        ((3, 2, 2), {"channels": (4, 4, 4, 4)}),
        ((3, 9, 7), {"kernel_size": 5, "pool_size": 1}),
        ((1, 1, 1), {"channels": (5,)}),
    ],
)
def test_features_are_two_per_channel(row_shape, settings):
    module = built(row_shape, **settings)
    width = 2 * settings.get("channels", (8, 12))[-1]
    assert module(torch.zeros(4, *row_shape)).shape == (4, width)


def test_flat_rows_are_the_same_pictures():
    x = torch.rand(4, 3, 9, 7)
    flat = built((189,), input_shape=(3, 9, 7))
    assert torch.equal(built()(x), flat(x.flatten(1)))


def test_a_picture_does_not_see_the_others_of_its_batch():
    x, module = torch.rand(6, 3, 9, 7), built().train()
    module[-1].eval()  # dropout
    torch.testing.assert_close(module(x)[:1], module(x[:1]))


def test_pools_are_32_bit_integers():
    assert built(pool_size=2**31 - 1)(torch.zeros(1, 3, 9, 7)).shape == (1, 24)
    with pytest.raises(ValueError, match="pool_size"):
        built(pool_size=2**31)


def test_a_shifted_object_gives_the_same_largest_values():
    # On an empty ground, apart from what pooling cuts in two: shifts of whole cells.
    x = torch.zeros(1, 1, 16, 16)
    x[..., 2:6, 2:6] = torch.rand(4, 4)
    module = built((1, 16, 16), channels=(6,))
    shifted = module(x.roll((4, 6), (2, 3)))
    # The normalisation sees the same numbers, the largest value is the object's.
    torch.testing.assert_close(module(x), shifted)


def test_parameters_come_from_the_generator():
    one, same, other = (list(built(seed=s).parameters()) for s in (0, 0, 1))
    assert all(torch.equal(*pair) for pair in zip(one, same, strict=True))
    kernels = [pair for pair in zip(one, other, strict=True) if pair[0].ndim == 4]
    assert kernels
    assert not any(torch.equal(*pair) for pair in kernels)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": ()}, "channels of ConvTrunk must"),
        ({"channels": (8, 0)}, "channels of ConvTrunk must"),
        ({"kernel_size": 4}, "must be odd.*Use 5"),
        ({"pool_size": 0}, "The 'pool_size' parameter"),
        ({"dropout": 1.0}, "The 'dropout' parameter"),
        ({"input_shape": (9, 8)}, r"rows of shape \(3, 9, 7\).*input_shape"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        built(**settings)


def test_flat_rows_need_the_shape_of_a_picture():
    with pytest.raises(ValueError, match=r"for example ConvTrunk\(input_shape"):
        built((64,))


def test_it_can_be_cloned():
    trunk = ConvTrunk((4, 8), kernel_size=5, pool_size=1, dropout=0, input_shape=(8, 8))
    assert clone(trunk).get_params() == trunk.get_params()


def test_digits_with_most_labels_missing():
    X, digit = load_digits(return_X_y=True)
    Y = np.column_stack([digit == d for d in range(4)]).astype(float)
    observed = np.random.default_rng(0).random(Y.shape) < 0.3
    clf = classifier(
        trunk=ConvTrunk((16, 32), dropout=0, input_shape=(8, 8)), alpha=0, batch_size=32
    )
    clf.set_params(learning_rate_init=5e-3, learning_rate="cosine", max_iter=12)
    clf.fit(X[:1200] / 16, np.where(observed, Y, np.nan)[:1200])
    assert clf.score(X[1200:] / 16, Y[1200:]) > 0.97


def test_nested_lists_are_pictures():
    rng = np.random.default_rng(0)
    X, y = rng.random((6, 1, 4, 4)).astype(np.float32), [0, 1] * 3
    clf = classifier(trunk=ConvTrunk((2,)), max_iter=2).fit(X, y)
    assert_allclose(clf.predict_proba(X.tolist()), clf.predict_proba(X), rtol=1e-6)

import copy
import threading
from functools import partial

import numpy as np
import pytest
import torch
from _estimators import assert_same_parameters, classifier
from _trunks import OfPictures, WithStatistics, plain
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from torch import nn

from skmtl import MultiTaskNetClassifier
from skmtl.trunks import ConvTrunk

# Whatever the `trunk` parameter takes; all of them read flat rows.
TRUNKS = {
    "class": WithStatistics,
    "partial": partial(WithStatistics, width=9),
    "function": plain,
    "module": WithStatistics((5,), None),
    "spec": ConvTrunk((4,), input_shape=(1, 5)),
}
every_kind = pytest.mark.parametrize("trunk", TRUNKS.values(), ids=TRUNKS)


def random_dropout(input_shape, generator):
    """Draws from torch's global generator in training."""
    return nn.Sequential(nn.Linear(*input_shape, 12), nn.ReLU(), nn.AlphaDropout(0.3))


@every_kind
@pytest.mark.parametrize("sharing", ["hard", "none"])
@pytest.mark.parametrize("n_members", [1, 2])
def test_fits_predicts_and_repeats(problem, trunk, sharing, n_members):
    X, Y = problem
    clf = classifier(trunk=trunk, sharing=sharing, n_members=n_members, max_iter=3)
    p = clf.fit(X, Y).predict_proba(X)
    assert p.shape == Y.shape
    n_banks = n_members * (3 if sharing == "none" else 1)
    assert len(clf.network_.trunk.banks) == n_banks
    width = clf.network_.trunk.width
    assert clf.transform(X).shape == (len(X), n_banks * width)
    assert len(clf.get_feature_names_out()) == n_banks * width
    again = clone(clf).fit(X, Y)
    assert_same_parameters(clf, again)
    assert_array_equal(again.predict_proba(X), p)


@pytest.mark.parametrize("trunk", [WithStatistics, plain])
def test_learns(problem, trunk):
    X, Y = problem
    clf = classifier(trunk=trunk, max_iter=150, learning_rate="cosine", batch_size=20)
    clf.set_params(learning_rate_init=0.01).fit(X, Y)
    assert clf.score(X, Y) > 0.95


def test_the_given_module_is_left_alone_and_copied_for_each_bank(problem):
    module = WithStatistics((5,), None)
    before = copy.deepcopy(module.state_dict())
    clf = classifier(trunk=module, n_members=2, max_iter=0).fit(*problem)
    for bank in clf.network_.trunk.banks:
        for name, value in bank.state_dict().items():
            assert torch.equal(value, before[name])
    clf.set_params(max_iter=3).fit(*problem)
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
    assert module.training
    assert type(module.dropout) is nn.Dropout


@pytest.mark.parametrize("factory", [WithStatistics, plain, random_dropout])
def test_members_and_tasks_begin_with_parameters_of_their_own(problem, factory):
    clf = classifier(trunk=factory, n_members=2, sharing="none", max_iter=0)
    banks = clf.fit(*problem).network_.trunk.banks
    first = [next(p for p in bank.parameters() if p.ndim == 2) for bank in banks]
    assert len({float(weight.sum().detach()) for weight in first}) == 6


@pytest.mark.parametrize("factory", [WithStatistics, random_dropout])
def test_global_generators_are_neither_read_nor_changed(problem, factory):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = classifier(trunk=factory, max_iter=3).fit(*problem)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    other = classifier(trunk=factory, max_iter=3).fit(*problem)
    assert_same_parameters(one, other)
    changed = classifier(trunk=factory, max_iter=3, random_state=1).fit(*problem)
    with pytest.raises(AssertionError):
        assert_same_parameters(one, changed)


@pytest.mark.parametrize("factory", [WithStatistics, random_dropout])
def test_fits_in_threads_are_those_made_one_by_one(problem, factory):
    def fit(seed):
        clf = classifier(trunk=factory, max_iter=10, random_state=seed)
        fitted[seed] = clf.fit(*problem)

    fitted = {}
    threads = [threading.Thread(target=fit, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = dict(fitted)
    for seed in range(3):
        fit(seed)
        p, q = (f[seed].predict_proba(problem[0]) for f in (together, fitted))
        assert_allclose(p, q, atol=1e-5)


def test_dropout_is_ours_and_drops_in_training_alone(problem):
    with_dropout = classifier(trunk=WithStatistics, max_iter=1)
    with_dropout.fit(*problem)
    bank = with_dropout.network_.trunk.banks[0]
    assert isinstance(bank.dropout, nn.Dropout)
    assert type(bank.dropout) is not nn.Dropout
    assert not any(module.training for module in with_dropout.network_.trunk.modules())
    p = with_dropout.predict_proba(problem[0])
    assert_array_equal(p, with_dropout.predict_proba(problem[0]))

    class WithoutDropout(WithStatistics):
        def __init__(self, input_shape, generator):
            super().__init__(input_shape, generator)
            self.dropout = nn.Identity()

    without = classifier(trunk=WithoutDropout, max_iter=1).fit(*problem)
    with pytest.raises(AssertionError):
        assert_same_parameters(with_dropout, without)


def test_batch_statistics_are_those_of_training(problem):
    X, Y = problem
    clf = classifier(trunk=WithStatistics, max_iter=1, learning_rate_init=1e-30)
    clf.set_params(batch_size=60).fit(X, Y)
    bank = clf.network_.trunk.banks[0]
    rows = ~np.isnan(Y).all(axis=1)
    read = bank.first(torch.tensor(X[rows], dtype=torch.float32)).detach()
    # One batch: a tenth of its mean and variance, and nine of the initial 0 and 1.
    assert_allclose(bank.norm.running_mean, 0.1 * read.mean(0), atol=1e-5)
    assert_allclose(bank.norm.running_var, 0.9 + 0.1 * read.var(0), rtol=1e-4)
    # A row's prediction is its own affair.
    assert_allclose(clf.predict_proba(X)[:1], clf.predict_proba(X[:1]), rtol=1e-5)


def test_a_last_batch_of_one_row_is_no_error(problem):
    X, Y = problem
    Y = np.nan_to_num(Y)[:41]
    clf = classifier(trunk=WithStatistics, batch_size=20, max_iter=2).fit(X[:41], Y)
    assert np.isfinite(clf.predict_proba(X)).all()


def test_images_are_read_as_images(problem):
    X, Y = np.random.default_rng(0).random((60, 2, 5, 4)), problem[1]
    clf = classifier(trunk=OfPictures, max_iter=2).fit(X, Y)
    assert clf.n_features_in_ == 40
    assert clf.network_.trunk.input_shape == (2, 5, 4)
    assert clf.predict_proba(X).shape == Y.shape


def test_bytes_are_read_as_numbers_from_0_to_1(problem):
    X = np.random.default_rng(0).integers(0, 256, (60, 2, 5, 4)).astype(np.uint8)
    settings = {"trunk": ConvTrunk((6,)), "max_iter": 3}
    of_bytes = classifier(**settings).fit(X, problem[1])
    of_numbers = classifier(**settings).fit(X.astype(np.float32) / 255, problem[1])
    p, q = of_bytes.predict_proba(X), of_numbers.predict_proba(X / np.float32(255))
    assert_allclose(p, q, rtol=1e-4)


def test_parameters_that_the_user_has_frozen_stay(problem):
    def partly_frozen(input_shape, generator):
        module = WithStatistics(input_shape, generator)
        module.first.requires_grad_(False)
        return module

    begin = classifier(trunk=partly_frozen, max_iter=0).fit(*problem).network_.trunk
    end = classifier(trunk=partly_frozen, max_iter=3).fit(*problem).network_.trunk
    assert torch.equal(begin.banks[0].first.weight, end.banks[0].first.weight)
    assert not torch.equal(begin.banks[0].norm.weight, end.banks[0].norm.weight)


def test_a_frozen_trunk_keeps_its_batch_statistics(problem):
    settings = {"trunk": WithStatistics, "freeze": "trunk"}
    begin = classifier(**settings, max_iter=0).fit(*problem)
    end = classifier(**settings, max_iter=3).fit(*problem)
    pairs = zip(
        begin.network_.trunk.state_dict().items(),
        end.network_.trunk.state_dict().values(),
        strict=True,
    )
    for (name, old), new in pairs:
        assert torch.equal(old, new), name
    assert not np.array_equal(*(c.predict_proba(problem[0]) for c in (begin, end)))


def test_a_trunk_without_parameters(problem):
    clf = classifier(trunk=nn.Flatten(), max_iter=100, learning_rate_init=0.05)
    assert clf.fit(*problem).score(*problem) > 0.9


def test_lazy_modules_know_their_input_after_the_dry_run(problem):
    def lazy(input_shape, generator):
        return nn.Sequential(nn.LazyLinear(7), nn.ReLU())

    clf = classifier(trunk=lazy, max_iter=2).fit(*problem)
    assert clf.network_.trunk.width == 7


@pytest.mark.parametrize(
    ("trunk", "message"),
    [
        (lambda shape, generator: nn.Linear(4, 3), r"rows of shape \(5,\).*it raised"),
        (
            lambda shape, generator: nn.Unflatten(1, (5, 1)),
            r"got shape \(2, 5, 1\).*Flatten",
        ),
        (lambda shape, generator: nn.RNN(5, 3), "got an object of type tuple"),
        (lambda shape, generator: nn.Linear(5, 0), r"got shape \(2, 0\)"),
        (lambda shape, generator: "text", "made an object of type str"),
        (lambda shape: nn.Linear(5, 3), r"callable trunk\(input_shape, generator\)"),
        (ConvTrunk, r"Pass an object: ConvTrunk\(\)"),
        ("conv", "The 'trunk' parameter"),
    ],
)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_unusable_trunks_are_refused(problem, trunk, message):
    clf = classifier(trunk=trunk)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        clf.fit(*problem)
    assert not hasattr(clf, "n_features_in_")


@every_kind
def test_training_goes_on_with_the_same_trunk_alone(problem, trunk):
    clf = classifier(trunk=trunk, warm_start=True, max_iter=2).fit(*problem)
    assert len(clf.fit(*problem).loss_curve_) == 4
    clf.set_params(trunk=partial(WithStatistics, width=4))
    with pytest.raises(ValueError, match="parameters must describe the fitted network"):
        clf.fit(*problem)


@every_kind
def test_epochs_by_partial_fit_are_those_of_fit(problem, trunk):
    settings = {"trunk": trunk, "learning_rate": "constant", "max_iter": 3}
    with pytest.warns(match="hasn't converged"):
        whole = classifier(**settings).fit(*problem)
    parts = classifier(**settings)
    for _ in range(3):
        parts.partial_fit(*problem)
    assert_same_parameters(whole, parts)


def test_the_number_of_rows_read_at_once_is_bounded_by_what_layers_give():
    narrow, wide = (
        MultiTaskNetClassifier(trunk=ConvTrunk((c,)), max_iter=0, n_members=1)
        .fit(np.zeros((4, 1, 32, 32)), [0, 1, 0, 1])
        .network_
        for c in (8, 64)
    )
    assert wide.units_per_row > 7 * narrow.units_per_row
    # A convolution of 3 x 3, at each of 32 x 32 places.
    assert narrow.trunk.work_per_row == 32 * 32 * 9 * 8


@pytest.mark.parametrize("n_members", [1, 2])
def test_a_module_that_works_in_place_leaves_the_input_alone(problem, n_members):
    def in_place(input_shape, generator):
        return nn.Sequential(nn.ReLU(inplace=True), nn.Linear(*input_shape, 6))

    X = problem[0].astype(np.float32)
    X.flags.writeable = False
    before = X.copy()
    clf = classifier(trunk=in_place, n_members=n_members, max_iter=2, batch_size=60)
    clf.fit(X, problem[1]).predict_proba(X)
    assert_array_equal(X, before)


def test_lazy_modules_of_several_members(problem):
    def lazy(input_shape, generator):
        return nn.Sequential(nn.LazyLinear(7), nn.ReLU())

    clf = classifier(trunk=lazy, n_members=2, sharing="none", max_iter=2)
    assert np.isfinite(clf.fit(*problem).predict_proba(problem[0])).all()


def test_a_dropout_that_comes_twice_is_ours_both_times(problem):
    dropout = nn.Dropout(0.3)
    module = nn.Sequential(nn.Linear(5, 6), dropout, nn.Linear(6, 4), dropout)
    clf = classifier(trunk=module, max_iter=1).fit(*problem)
    kinds = [type(layer) for layer in clf.network_.trunk.banks[0]]
    assert kinds[1] is kinds[3] is not nn.Dropout
    assert not clf.network_.trunk.draws_globally


def test_statistics_of_a_layer_that_the_user_has_frozen_stay(problem):
    module = WithStatistics((5,), None)
    module.norm.requires_grad_(False)
    clf = classifier(trunk=module, max_iter=2).fit(*problem)
    assert torch.equal(clf.network_.trunk.banks[0].norm.running_mean, torch.zeros(16))


def test_statistics_of_a_trunk_without_parameters_are_learned(problem):
    X, Y = problem
    norm = nn.BatchNorm1d(5, affine=False)
    clf = classifier(trunk=norm, max_iter=100).fit(X + 3, np.nan_to_num(Y))
    mean = clf.network_.trunk.banks[0].running_mean
    assert_allclose(mean, (X + 3).mean(0), atol=1e-3)


def test_an_output_without_gradient_is_an_error(problem):
    class Detached(WithStatistics):
        def forward(self, x):
            return super().forward(x).detach()

    with pytest.raises(ValueError, match="it has no gradient"):
        classifier(trunk=Detached).fit(*problem)
    classifier(trunk=Detached, freeze="trunk", max_iter=2).fit(*problem)


def test_what_a_module_gives_in_training_is_checked_too(problem):
    class WithExtra(WithStatistics):
        def forward(self, x):
            out = super().forward(x)
            return (out, out) if self.training else out

    with pytest.raises(ValueError, match="got an object of type tuple"):
        classifier(trunk=WithExtra).fit(*problem)


class Maker:
    """A callable object whose repr has an address."""

    def __call__(self, input_shape, generator):
        return plain(input_shape, generator)


def test_a_copy_of_a_callable_object_is_the_same_trunk(problem):
    clf = classifier(trunk=Maker(), max_iter=1, warm_start=True).fit(*problem)
    copy.deepcopy(clf).fit(*problem).add_tasks(problem[0], problem[1][:, 0])


def test_rows_are_float32_whatever_the_parameters_of_a_module(problem):
    class WithIndex(nn.Module):
        def __init__(self, input_shape, generator):
            super().__init__()
            self.index = nn.Parameter(torch.arange(5), requires_grad=False)
            self.last = nn.Linear(5, 4)

        def forward(self, x):
            assert x.dtype == torch.float32
            return self.last(x[:, self.index])

    clf = classifier(trunk=WithIndex, max_iter=2).fit(*problem)
    assert len(np.unique(clf.transform(problem[0]), axis=0)) == 60

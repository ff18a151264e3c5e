import pytest
import torch
from _properties import build
from sklearn.base import clone

from skmtl.sharing import HardSharing, NoSharing


@pytest.mark.parametrize("spec", [HardSharing(), NoSharing()], ids=repr)
def test_specs_can_be_cloned_and_compared_by_parameters(spec):
    assert clone(spec).get_params() == spec.get_params()


def test_number_of_parameters_grows_with_tasks_as_the_sharing_says():
    sizes = {"hidden_layer_sizes": (6,), "head_hidden_layer_sizes": (4,)}
    trunk, head = 5 * 6 + 6, 6 * 4 + 4 + 4 * 1 + 1
    for n_tasks in (1, 3, 10):
        for spec, expected in [
            (HardSharing(), trunk + n_tasks * head),
            (NoSharing(), n_tasks * (trunk + head)),
        ]:
            network = build(spec, n_classes=(2,) * n_tasks, **sizes)
            assert sum(p.numel() for p in network.parameters()) == expected


@pytest.mark.parametrize("spec", [HardSharing(), NoSharing()], ids=repr)
def test_build_draws_from_the_given_generator_alone(spec):
    state = torch.get_rng_state()
    one, same, other = (build(spec, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    for a, b, c in zip(
        one.parameters(), same.parameters(), other.parameters(), strict=True
    ):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)

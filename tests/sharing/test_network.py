import numpy as np
import pytest
import torch
from _properties import (
    SHARINGS,
    build,
    every_network,
    every_shape,
    labels_of,
    losses_of,
    permuted_tasks,
    random_batch,
)
from numpy.testing import assert_allclose

from skmtl._network import ACTIVATIONS, NetworkPass, Tape
from skmtl._outputs import logit_gradient, task_losses


@every_network
@every_shape
def test_permuting_tasks_with_their_heads_permutes_outputs(sharing, shape):
    network = build(sharing, n_classes=(2,) * 4, **shape)
    order = [2, 0, 3, 1]
    x, _ = random_batch()
    outputs, permuted = network(x), permuted_tasks(network, order)(x)
    assert outputs.shape == (network.n_members, len(x), 4)
    assert_allclose(permuted.detach(), outputs[..., order].detach(), rtol=1e-12)


@every_network
@every_shape
def test_every_parameter_gets_a_gradient(sharing, shape):
    network = build(sharing, **shape)
    x, codes = random_batch(n_samples=30)
    losses_of(network, x, codes).sum().backward()
    for name, parameter in network.named_parameters():
        assert (parameter.grad != 0).all(), name


@every_network
@every_shape
@pytest.mark.parametrize("rate", [0.0, 0.4])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_written_out_gradients_are_those_of_autograd(sharing, shape, activation, rate):
    settings = {"activation": activation, "dropout": rate, "input_dropout": rate}
    network = build(sharing, **shape, **settings)
    x, codes = random_batch(n_samples=30)
    sample_weight = torch.rand(codes.shape, dtype=torch.float64)
    labels = labels_of(network, codes, sample_weight=sample_weight)

    generator = torch.Generator()
    logits = network(x, generator.manual_seed(0))
    loss = task_losses(logits, labels, network.groups).sum()
    (loss * network.n_members).backward()
    expected = {name: p.grad.clone() for name, p in network.named_parameters()}
    for parameter in network.parameters():
        parameter.grad.fill_(np.nan)
    with torch.no_grad():
        tape, written_out = Tape([], []), NetworkPass(network)
        read = written_out.read(x, generator.manual_seed(0))
        again = written_out.forward(read, generator, tape)
        gradient = logit_gradient(again, labels, network.groups)
        written_out.backward(tape, gradient)
    assert_allclose(again, logits.detach(), rtol=1e-12)
    for name, parameter in network.named_parameters():
        assert_allclose(parameter.grad, expected[name], rtol=1e-9, atol=1e-12)


@every_network
@every_shape
def test_decode_after_encode_is_the_network(sharing, shape):
    network = build(sharing, **shape)
    x, _ = random_batch()
    features = network.encode(x)
    n_banks = network.n_members * network.n_trunks if network.has_trunk else 1
    if isinstance(features, torch.Tensor):
        assert features.shape[:2] == (n_banks, len(x))
    assert_allclose(network.decode(features).detach(), network(x).detach())


@every_shape
def test_without_sharing_a_task_moves_its_own_parameters_only(shape):
    network = build(SHARINGS[1], n_classes=(2,) * 4, **shape)
    x, codes = random_batch((2,) * 4, n_samples=30)
    losses_of(network, x, codes)[1].backward()
    touched = sum(
        int((parameter.grad != 0).sum()) for parameter in network.parameters()
    )
    assert touched == sum(p.numel() for p in network.parameters()) / 4


@every_shape
def test_with_a_shared_trunk_every_task_moves_the_whole_trunk(shape):
    network = build(SHARINGS[0], n_classes=(2,) * 4, **shape)
    x, codes = random_batch((2,) * 4, n_samples=30)
    for task in range(4):
        network.zero_grad()
        losses_of(network, x, codes)[task].backward()
        for parameter in network.trunk.parameters():
            assert (parameter.grad != 0).all()


@every_network
@pytest.mark.parametrize("rates", [{"dropout": 0.5}, {"input_dropout": 0.5}], ids=str)
@pytest.mark.parametrize("head", [(), (4,)])
def test_dropout_acts_only_with_a_generator(sharing, rates, head):
    network = build(sharing, head_hidden_layer_sizes=head, **rates)
    x, _ = random_batch()
    plain = network(x).detach()
    dropped = network(x, torch.Generator().manual_seed(0)).detach()
    again = network(x, torch.Generator().manual_seed(0)).detach()
    assert not np.allclose(dropped, plain)
    assert torch.equal(dropped, again)


@every_network
def test_dropout_of_hidden_layers_differs_between_members(sharing):
    network = build(sharing, dropout=0.5, n_members=2)
    with torch.no_grad():
        for parameter in network.parameters():
            halves = parameter.chunk(2, 0 if parameter.shape[0] > 1 else 2)
            halves[1].copy_(halves[0])
    x, _ = random_batch()
    same = network(x).detach()
    assert torch.allclose(same[0], same[1])
    dropped = network(x, torch.Generator().manual_seed(0)).detach()
    assert not torch.allclose(dropped[0], dropped[1])


@every_network
@every_shape
def test_members_begin_with_different_parameters(sharing, shape):
    network = build(sharing, **shape)
    x, _ = random_batch()
    members = network(x).detach()
    for other in members[1:]:
        assert not np.allclose(other, members[0])

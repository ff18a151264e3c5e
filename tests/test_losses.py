import numpy as np
import pytest
import torch
from _properties import (
    SHARINGS,
    build,
    every_network,
    every_shape,
    labels_of,
    lecture_loss,
    losses_of,
    probabilities_of,
    random_batch,
    unit_table,
)
from numpy.testing import assert_allclose, assert_array_equal

from skmtl._outputs import (
    Binary,
    Multiclass,
    Targets,
    in_task_order,
    kind_of_classes,
    log_probabilities,
    output_groups,
    positive_probabilities,
    probabilities,
    task_losses,
    weigh_labels,
)


@every_network
@every_shape
def test_loss_with_holes_equals_the_lectures_double_loop(sharing, shape):
    network = build(sharing, **shape)
    x, codes = random_batch()
    members = probabilities_of(network, x)
    expected = np.mean([lecture_loss(p, codes.numpy()) for p in members])
    assert_allclose(losses_of(network, x, codes).sum().item(), expected, rtol=1e-12)


@pytest.mark.parametrize("n_classes", [(2, 3, 2, 4), (2, 2, 2, 2), (3, 3, 3, 3)])
@pytest.mark.parametrize("per_task", [False, True])
def test_loss_multiplies_each_label_by_its_weights(n_classes, per_task):
    network = build(SHARINGS[0], n_classes)
    x, codes = random_batch(n_classes)
    rng = np.random.default_rng(0)
    table = torch.from_numpy(rng.uniform(0.5, 2, size=(4, 1 + max(n_classes))))
    table[:, 0] = 0
    shape = (len(codes), 4 if per_task else 1)
    sample_weight = torch.from_numpy(rng.uniform(0.5, 2, size=shape))
    labels = labels_of(network, codes, table, sample_weight)
    losses = task_losses(network(x), labels, network.groups)

    label_weight = np.zeros(codes.shape)
    for i, j in np.argwhere(codes.numpy() >= 0):
        own = sample_weight[i, j if per_task else 0]
        label_weight[i, j] = table[j, codes[i, j] + 1] * own
    totals = in_task_order(labels.weights.sum(0), network.groups)
    assert_allclose(totals, label_weight.sum(axis=0), rtol=1e-12)
    (probabilities,) = probabilities_of(network, x)
    for j in range(4):
        only = np.where(np.arange(4) == j, label_weight, 0)
        expected = lecture_loss(probabilities, codes.numpy(), only)
        assert_allclose(losses[j].item(), expected, rtol=1e-12)


@every_network
@every_shape
def test_a_hole_has_zero_gradient_and_leaves_other_tasks_alone(sharing, shape):
    network = build(sharing, **shape)
    x, codes = random_batch()
    before = losses_of(network, x, codes)
    row, task = np.argwhere(codes.numpy() >= 0)[0]
    codes[row, task] = -1
    after = losses_of(network, x, codes)
    others = np.arange(4) != task
    assert_array_equal(after[others].detach(), before[others].detach())
    assert after[task] < before[task]

    logits = network(x).detach().requires_grad_()
    task_losses(logits, labels_of(network, codes), network.groups).sum().backward()
    for group in network.groups:
        gradient = logits.grad[..., group.columns].abs().sum(0)
        by_task = gradient.unflatten(1, (len(group.tasks), -1)).sum(-1)
        observed = codes[:, list(group.tasks)] >= 0
        assert_array_equal(by_task > 0, observed)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_loss_and_gradient_stay_finite_for_huge_logits(n_classes):
    (group,) = output_groups((kind_of_classes(n_classes),))
    codes = torch.tensor([[0], [1], [-1]], dtype=torch.int8)
    logits = torch.full((1, 3, group.kind.n_logits), 1e30, requires_grad=True)
    table = unit_table((n_classes,)).float()
    labels = weigh_labels(Targets(codes, None), table, None, [group])
    loss = task_losses(logits, labels, [group]).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_the_loss_of_nearly_certain_labels_is_exact():
    z = np.array([-45.0, -39.0, -20.0, -11.0, 11.0, 20.0, 39.0, 45.0])
    for label in (0, 1):
        expected = np.logaddexp(0, -z if label else z)
        for logit, loss in zip(z, expected, strict=True):
            labels = weigh_labels(
                Targets(torch.tensor([[label]], dtype=torch.int8), None),
                unit_table((2,)),
                None,
                output_groups((Binary(),)),
            )
            logits = torch.full((1, 1, 1), logit, dtype=torch.float64)
            found = Binary().losses(logits, labels)
            assert_allclose(found, [loss], rtol=1e-14)


def test_a_constant_task_has_no_loss_and_certain_probabilities():
    (group,) = output_groups((Multiclass(1),))
    logits = torch.randn(2, 4, 1, generator=torch.Generator().manual_seed(0))
    codes = torch.zeros(4, 1, dtype=torch.int8)
    table = unit_table((1,)).float()
    labels = weigh_labels(Targets(codes, None), table, None, [group])
    assert task_losses(logits, labels, [group]).item() == 0
    assert_array_equal(probabilities(logits, group), np.ones((4, 1, 1)))
    assert_array_equal(log_probabilities(logits, group), np.zeros((4, 1, 1)))


@every_network
@every_shape
def test_probabilities_are_the_members_mean_and_sum_to_one(sharing, shape):
    network = build(sharing, **shape)
    x, _ = random_batch()
    members = probabilities_of(network, x)
    for group in network.groups:
        logits = network(x).detach()
        p = probabilities(logits, group)
        assert_allclose(log_probabilities(logits, group).exp(), p, rtol=1e-12)
        if group.kind == Binary():
            assert_array_equal(positive_probabilities(logits, group), p[..., 1])
        for i, task in enumerate(group.tasks):
            expected = np.mean([member[task] for member in members], axis=0)
            assert_allclose(p[:, i], expected, rtol=1e-10)
            assert_allclose(p[:, i].sum(-1), 1, rtol=1e-14)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_tiny_probabilities_keep_their_logarithm(n_classes):
    (group,) = output_groups((kind_of_classes(n_classes),))
    logits = torch.full((1, 1, group.kind.n_logits), -2000.0)
    logits[..., 0] = 2000.0
    log_p = log_probabilities(logits, group)[0, 0]
    smallest = log_p.min().item()
    assert smallest == (-2000.0 if n_classes == 2 else -4000.0)

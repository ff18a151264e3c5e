"""What must hold for every network, whatever its tasks share and its solver."""

import copy
import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from skmtl._inputs import learn_encoding
from skmtl._network import Architecture
from skmtl._network._module_trunk import ModuleTrunk, build_module_trunk
from skmtl._outputs import Binary, Targets, kind_of_classes, task_losses, weigh_labels
from skmtl.sharing import HardSharing, NoSharing

SHARINGS = [HardSharing(), NoSharing()]
SOLVERS = ["adam", "sgd"]
# Sizes that take every path: no trunk, no hidden layer in the heads, both, members.
SHAPES = [
    {"hidden_layer_sizes": (), "head_hidden_layer_sizes": ()},
    {"hidden_layer_sizes": (6,), "head_hidden_layer_sizes": ()},
    {"hidden_layer_sizes": (), "head_hidden_layer_sizes": (4,)},
    {"hidden_layer_sizes": (6, 5), "head_hidden_layer_sizes": (4, 3)},
    {"hidden_layer_sizes": (6,), "head_hidden_layer_sizes": (4,), "n_members": 3},
    {"hidden_layer_sizes": (), "head_hidden_layer_sizes": (), "n_members": 2},
    {"hidden_layer_sizes": (6,), "head_hidden_layer_sizes": (), "n_bins": 3},
    {"hidden_layer_sizes": (), "head_hidden_layer_sizes": (), "n_bins": 3},
    {"hidden_layer_sizes": (6,), "head_hidden_layer_sizes": (4,), "n_bins": 3}
    | {"n_members": 2},
    {"trunk": "module", "head_hidden_layer_sizes": ()},
    {"trunk": "module", "head_hidden_layer_sizes": (4,), "n_members": 2},
]


def shape_id(shape):
    return "-".join(str(value).replace(" ", "") for value in shape.values())


every_network = pytest.mark.parametrize("sharing", SHARINGS, ids=repr)
every_solver = pytest.mark.parametrize("solver", SOLVERS)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=shape_id)


def build(sharing, n_classes=(2, 3, 2, 4), n_features=5, seed=0, **sizes):
    """A network in float64, with smooth activations so that all gradients are there.

    With `n_bins` it has an input layer, whose last column is a category; with a `trunk`
    a module of the user's own.
    """
    settings = {
        "hidden_layer_sizes": (6,),
        "head_hidden_layer_sizes": (),
        "activation": "tanh",
        "dropout": 0.0,
        "input_dropout": 0.0,
        "n_members": 1,
    }
    sizes = {"n_bins": None, "encoding": None} | sizes
    if "trunk" in sizes:
        shape = (n_features,)
        make_trunk = partial(build_module_trunk, smooth_module, shape, 1.0)
        sizes |= {"input_shape": shape, "make_trunk": make_trunk, "input_dropout": 0.0}
    if sizes["n_bins"] is not None:
        sizes["encoding"] = random_encoding(n_features, sizes["n_bins"])
    outputs = tuple(map(kind_of_classes, n_classes))
    architecture = Architecture(
        repr(sharing), n_features, outputs=outputs, **(settings | sizes)
    )
    return sharing.build(architecture, torch.Generator().manual_seed(seed)).double()


def smooth_module(input_shape, generator):
    """A module with random parameters, a bias that is not the last, and a scale."""
    layers = [nn.Linear(*input_shape, 6), nn.Tanh(), nn.LayerNorm(6), nn.Linear(6, 5)]
    return nn.Sequential(*layers, nn.Tanh())


def random_encoding(n_features, n_bins):
    """Of columns like those of `random_batch`."""
    x, _ = random_batch((2,), n_features, n_samples=100, seed=1)
    return learn_encoding(
        x.numpy(),
        {n_features - 1: range(3)},
        n_bins,
        rows=np.arange(len(x)),
        row_weight=None,
        rng=np.random.RandomState(0),
    )


def random_batch(n_classes=(2, 3, 2, 4), n_features=5, n_samples=12, seed=0):
    """x and codes, about a third of them missing and none of the rows empty.

    The last column of x is 0, 1 or 2.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_samples, n_features))
    x[:, -1] = rng.integers(3, size=n_samples)
    codes = np.column_stack([rng.integers(n, size=n_samples) for n in n_classes])
    missing = rng.random(codes.shape) < 1 / 3
    missing[np.arange(n_samples), rng.integers(len(n_classes), size=n_samples)] = False
    codes = np.where(missing, -1, codes).astype(np.int8)
    return torch.from_numpy(x), torch.from_numpy(codes)


def unit_table(n_classes):
    table = torch.ones(len(n_classes), 1 + max(n_classes), dtype=torch.float64)
    table[:, 0] = 0
    return table


def labels_of(network, codes, table=None, sample_weight=None):
    """Labels of a batch as the loss reads them."""
    if table is None:
        table = unit_table([kind.n_classes for kind in network.architecture.outputs])
    return weigh_labels(Targets(codes, None), table, sample_weight, network.groups)


def losses_of(network, x, codes):
    """(n_tasks,) summed losses of a batch."""
    return task_losses(network(x), labels_of(network, codes), network.groups)


def probabilities_of(network, x):
    """Probabilities [member][task] (n, n_classes) by the plainest formulas."""
    logits = network(x).detach().numpy()
    members = []
    for member in logits:
        by_task = {}
        for group in network.groups:
            block = member[:, group.columns]
            for i, task in enumerate(group.tasks):
                n_logits = group.kind.n_logits
                z = block[:, i * n_logits : (i + 1) * n_logits]
                if group.kind == Binary():
                    positive = 1 / (1 + np.exp(-z[:, 0]))
                    by_task[task] = np.column_stack([1 - positive, positive])
                else:
                    e = np.exp(z - z.max(axis=1, keepdims=True))
                    by_task[task] = e / e.sum(axis=1, keepdims=True)
        members.append([by_task[task] for task in range(len(by_task))])
    return members


def lecture_loss(probabilities, codes, label_weight=None):
    """The lecture's double loop, without the division by m."""
    total = 0.0
    for i in range(codes.shape[0]):
        for j in range(codes.shape[1]):
            if codes[i, j] >= 0:
                weight = 1.0 if label_weight is None else label_weight[i, j]
                total -= weight * math.log(probabilities[j][i, codes[i, j]])
    return total


def permuted_tasks(network, order):
    """A copy whose task k is task `order[k]` of the network; equal class counts."""
    (group,) = network.groups
    n_tasks = len(group.tasks)
    copied = copy.deepcopy(network)
    stacks = [copied.heads[0]]
    if network.n_trunks > 1 and isinstance(copied.trunk, ModuleTrunk):
        modules = list(copied.trunk.banks)
        index = [m * n_tasks + t for m in range(network.n_members) for t in order]
        copied.trunk.banks = nn.ModuleList(modules[i] for i in index)
    elif network.n_trunks > 1:
        stacks.append(copied.trunk)
    with torch.no_grad():
        for stack in stacks:
            for parameter in stack.parameters():
                _permute_banks(parameter, order, n_tasks, network.n_members)
    return copied


def _permute_banks(parameter, order, n_tasks, n_members):
    # (inputs, in, readers, out): the banks, member by member and task by task, are
    # the inputs where each has its own and the readers where they share one.
    n_inputs, _, n_readers, _ = parameter.shape
    axis = 0 if n_readers == 1 else 2
    if (n_inputs if axis == 0 else n_readers) == n_tasks * n_members:
        index = [m * n_tasks + t for m in range(n_members) for t in order]
    else:
        index = list(order)
    parameter.copy_(parameter.index_select(axis, torch.tensor(index)))

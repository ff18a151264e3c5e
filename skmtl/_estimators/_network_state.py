"""A network as arrays with the sizes needed to rebuild it, and the way back.

This is what is pickled and saved. It contains no torch objects and can be read on a
machine without the network's device.
"""

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from skmtl._estimators._parameters import with_own_trunk
from skmtl._inputs import InputColumns
from skmtl._network import (
    LINEAR_PARTS,
    Architecture,
    TrunkAndHeads,
    describe,
    without_memory,
)
from skmtl._rows import as_tensor
from skmtl.sharing import HardSharing, NoSharing
from skmtl.trunks import ConvTrunk

_SPECS = {describe(spec): spec for spec in (HardSharing(), NoSharing())}


@dataclass(frozen=True, eq=False)
class NetworkState:
    """All that is needed to rebuild a network."""

    architecture: Architecture
    arrays: dict[str, NDArray]  # parameters and buffers, by their names


def network_state(network: Any, trunk: Any) -> NetworkState | None:
    """The state of a network; `trunk` is the estimator's parameter.

    None if only code could rebuild the network: a module or a sharing spec of the
    user's own, or another precision.
    """
    if type(network) is not TrunkAndHeads:
        return None
    architecture = network.architecture
    if architecture.sharing not in _SPECS:
        return None
    if architecture.trunk is not None and (
        type(trunk) is not ConvTrunk or describe(trunk) != architecture.trunk
    ):
        return None
    if any(p.dtype != torch.float32 for p in network.parameters()):
        return None  # the user has converted the network
    tensors = network.state_dict()
    return NetworkState(
        architecture, {name: t.detach().cpu().numpy() for name, t in tensors.items()}
    )


def build_from_state(
    state: NetworkState, trunk: Any, columns: InputColumns
) -> TrunkAndHeads:
    """Rebuild the network on the memory of the arrays, or on copies of read-only ones.

    The sizes are compared with the arrays before any memory is allocated.
    """
    architecture = state.architecture
    if architecture.trunk is not None:
        architecture = with_own_trunk(architecture, trunk, columns)
    if architecture.sharing not in _SPECS:
        raise ValueError(
            f"sharing must be one of {sorted(_SPECS)}; got {architecture.sharing!r}."
        )
    with without_memory():
        network = _SPECS[architecture.sharing].build(architecture, torch.Generator())
        for name, make in LINEAR_PARTS.items():
            if any(array.startswith(f"{name}_part.") for array in state.arrays):
                n_features = architecture.n_features
                part = make(network.columns, n_features, network.groups)
                setattr(network, f"{name}_part", part)
    expected = {
        name: (tuple(t.shape), t.dtype) for name, t in network.state_dict().items()
    }
    tensors = {
        name: as_tensor(array if array.flags.writeable else array.copy())
        for name, array in state.arrays.items()
    }
    found = {name: (tuple(t.shape), t.dtype) for name, t in tensors.items()}
    if found != expected:
        different = min(name for name, _ in found.items() ^ expected.items())
        raise ValueError(
            f"The arrays must be those of {architecture}, but {different!r} is "
            f"{found.get(different, 'missing')} and must be "
            f"{expected.get(different, 'absent')}."
        )
    network.load_state_dict(tensors, assign=True)
    return network

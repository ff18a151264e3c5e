"""The state of a fit in a file, from which a killed fit resumes."""

import contextlib
import copy
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from skmtl._cleanup import at_the_end
from skmtl._estimators._parameters import as_python
from skmtl._files import FileError, read_file, write_file
from skmtl._messages import warn
from skmtl._network import TrunkAndHeads, describe, without_addresses
from skmtl._training import (
    Freeze,
    SolverState,
    TrainingPlan,
    TrainingRows,
    TrainingState,
)
from skmtl._world import World

_KIND = "skmtl.checkpoint"
# Files without a version are from fits in which members left out their share of the
# rows, or none.
_VERSION = 1
# Parameters that can differ when a fit resumes: they do not change the result.
_OF_NO_EFFECT = {"checkpoint_dir", "checkpoint_every", "verbose"}
_ADVICE = "Delete it to start again, or pass another checkpoint_dir."


@contextlib.contextmanager
def checkpoint_of(
    estimator: Any, rng: np.random.RandomState
) -> Iterator["Checkpoint | None"]:
    """The checkpoint of a fit, whose folder is locked during the fit."""
    if estimator.checkpoint_dir is None:
        yield None
        return
    folder = Path(estimator.checkpoint_dir).absolute()  # callbacks can change directory
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "fit.lock")  # the system releases that of a killed fit
    with at_the_end(lock.release):
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise ValueError(
                "checkpoint_dir must be a folder that no other fit uses, but another "
                f"fit is using {str(folder)!r}. Pass a separate folder for each fit."
            ) from error
        except (OSError, NotImplementedError) as error:  # also of a read-only folder
            warn(
                f"{str(folder)!r} cannot be locked: {error}. Make sure that no other "
                "fit uses it."
            )
        yield Checkpoint(estimator, folder, rng)


class Checkpoint:
    """The file of one fit, and what is read from it and written to it.

    It contains the state of the random numbers at the start of the fit. With that
    state, everything before the first epoch (held-out rows, bins, random weights) can
    be repeated exactly, and does not need to be in the file.
    """

    def __init__(
        self, estimator: Any, folder: Path, rng: np.random.RandomState
    ) -> None:
        self.path = folder / "fit.safetensors"
        self.every = int(estimator.checkpoint_every)
        self.parameters = _describe(estimator, rng)
        for part in folder.glob(f".{self.path.name}.*.part"):  # of a killed fit
            part.unlink(missing_ok=True)
        self.document: dict[str, Any] | None = None
        self.arrays: dict[str, NDArray] = {}
        if self.path.exists():
            self._read()
        self._version: Any = _VERSION
        if self.document is not None:  # a fit stays what it was
            self._version = self.document.get("version")
        self._given_rng = rng
        self.rng = self._random_numbers(rng)
        self.fingerprint: dict[str, Any] = {}

    @property
    def knows_few_left_out(self) -> bool:
        """Whether members of the fit can leave out less than their share."""
        return self._version == _VERSION

    def _read(self) -> None:
        try:
            self.document, self.arrays = read_file(self.path, [_KIND])
            if not isinstance(self.document, dict):
                raise FileError("it has no fields")
        except FileError as error:
            raise ValueError(
                f"{str(self.path)!r} must be a checkpoint of this fit, but {error}. "
                f"{_ADVICE}"
            ) from error

    def _random_numbers(self, rng: np.random.RandomState) -> np.random.RandomState:
        """A generator in the state in which the fit began."""
        if self.document is not None:
            with self._damage_named():
                name, position, has_gauss, gauss = self.document["random_numbers"]
                key = self.arrays["random_numbers"]
                rng = np.random.RandomState()
                rng.set_state((name, key, position, has_gauss, gauss))
        self._began_as_given = _next_bytes(rng) == _next_bytes(self._given_rng)
        state: Any = rng.get_state(legacy=False)
        if state["bit_generator"] != "MT19937":
            raise ValueError(
                "With checkpoint_dir, random_state must be None, an integer or a "
                f"RandomState with an MT19937 generator; got one with a "
                f"{state['bit_generator']} generator. Pass an integer."
            )
        self._began_with: dict[str, Any] = state
        return rng

    def resume(
        self,
        digest_of_data: str,
        network: TrunkAndHeads,
        plan: TrainingPlan,
        rows: TrainingRows,
        world: World | None,
    ) -> TrainingState | None:
        """The state to resume from; None if there is no file yet.

        It must come from a fit with the same parameters, the same data and the same
        initial network. All random numbers have been drawn before this call.
        """
        self.fingerprint = {
            "parameters": self.parameters,
            "data": digest_of_data,
            "network": _digest_of_network(network),
        }
        if self.document is None:
            return None
        with self._damage_named():
            different = self._differences(self.document["fingerprint"])
            state = None if different else _state(self.document, self.arrays)
            if state and not state.suits_run(network, rows, plan, world):
                raise FileError("it contains the state of another run")
        if different:
            raise ValueError(
                f"{str(self.path)!r} must be a checkpoint of this fit, but it comes "
                f"from a fit with a different {', '.join(different)}. {_ADVICE}"
            )
        if self._began_as_given:  # as if the whole fit had run
            self._given_rng.set_state(self.rng.get_state())
        return state

    def _differences(self, fingerprint: dict[str, Any]) -> list[str]:
        """What differs between the fit in the file and this one."""
        there, here = fingerprint["parameters"], self.parameters
        different = [
            f"{name} ({there.get(name)} in the file, {here.get(name)} now)"
            for name in sorted(set(there) | set(here))
            if there.get(name) != here.get(name)
        ]
        parts = {"data": "X, y or sample_weight", "network": "initial network"}
        different += [
            name
            for key, name in parts.items()
            if fingerprint[key] != self.fingerprint[key]
        ]
        return different

    @contextlib.contextmanager
    def _damage_named(self) -> Any:
        """Errors in here mean that the file was not written by `write`."""
        try:
            yield
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            raise ValueError(
                f"{str(self.path)!r} must be a checkpoint of this fit, but its content "
                f"is not readable: {error!r}. {_ADVICE}"
            ) from error

    def write(
        self, epoch: int, is_last: bool, state: Callable[[], TrainingState]
    ) -> None:
        """Write the state every `checkpoint_every` epochs, and after the last."""
        if not is_last and (epoch + 1) % self.every:
            return
        current, began = state(), self._began_with
        document: dict[str, Any] = {
            "version": self._version,
            "fingerprint": self.fingerprint,
            "random_numbers": [
                began["bit_generator"],
                int(began["state"]["pos"]),
                int(began["has_gauss"]),
                float(began["gauss"]),
            ],
            "solver": current.solver.solver,
            "freeze": list(current.solver.freeze),
            "stopped_by": current.stopped_by,
            "left_out_share": current.left_out_share,
        }
        arrays = {
            "random_numbers": began["state"]["key"],
            "generator": current.solver.generator,
            "dropout_generators": current.dropout_generators,
            "doubling": current.doubling,
        }
        for name, parts in current.solver.moments.items():
            document[f"n_{name}"] = len(parts)
            arrays |= {f"moments/{name}/{i}": part for i, part in enumerate(parts)}
        document["moments"] = list(current.solver.moments)
        arrays |= {f"network/{name}": a for name, a in current.network.items()}
        arrays |= {f"progress/{name}": a for name, a in current.progress.items()}
        write_file(self.path, _KIND, document, arrays)


def _state(document: dict[str, Any], arrays: dict[str, NDArray]) -> TrainingState:
    moments = {
        name: [arrays[f"moments/{name}/{i}"] for i in range(document[f"n_{name}"])]
        for name in document["moments"]
    }
    freeze = Freeze(*document["freeze"])
    return TrainingState(
        _below("network/", arrays),
        SolverState(document["solver"], freeze, moments, arrays["generator"]),
        arrays["dropout_generators"],
        _below("progress/", arrays),
        document["stopped_by"],
        arrays.get("doubling"),
        document.get("left_out_share"),
    )


def _below(prefix: str, arrays: dict[str, NDArray]) -> dict[str, NDArray]:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


# What distinguishes one fit from another --------------------------------------------


def described_parameters(estimator: Any) -> dict[str, str]:
    """Each parameter with an effect, as text that is the same in another process."""
    return {
        name: describe(as_python(value))
        for name, value in estimator.get_params(deep=False).items()
        if name not in _OF_NO_EFFECT
    }


def _describe(estimator: Any, rng: np.random.RandomState) -> dict[str, str]:
    described = described_parameters(estimator)
    if isinstance(estimator.random_state, np.random.RandomState):
        described["random_state"] = f"RandomState that begins with {_next_bytes(rng)}"
    return described


def _next_bytes(rng: np.random.RandomState) -> str:
    """The next bytes of a generator, which identify it; its state does not change."""
    return copy.deepcopy(rng).bytes(8).hex()


def _digest_of_network(network: TrunkAndHeads) -> str:
    # The repr also tells activations and other parts without parameters apart.
    digest = hashlib.sha256(without_addresses(repr(network)).encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(np.ascontiguousarray(tensor.cpu().numpy()).data)
    return digest.hexdigest()

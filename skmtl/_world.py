"""The processes of a data-parallel fit, which torch.distributed has started."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from torch import Tensor
from torch import distributed as dist

Made = TypeVar("Made")


class World:
    """All processes of the default group; each calls the same methods in turn."""

    def __init__(self) -> None:
        self.rank: int = dist.get_rank()
        self.size: int = dist.get_world_size()

    def share_of(self, batch_size: int, n_rows: int) -> int:
        """Rows of each batch that this process brings: in proportion to its rows."""
        total = sum(self.gather(n_rows, "rows of an epoch"))
        return max(1, round(batch_size * n_rows / max(total, 1)))

    def sum(self, *tensors: Tensor) -> list[Tensor]:
        """Sums over the processes, the same to the last bit in all of them."""
        with _named_failure():
            for tensor in tensors:
                dist.all_reduce(tensor)
        return list(tensors)

    def gather(self, own: Made, what: str) -> list[Made]:
        """What each process has, in the order of their ranks."""
        gathered: list[Any] = [None] * self.size
        with _named_failure():
            dist.all_gather_object(gathered, (what, own))
        steps = [step for step, _ in gathered]
        if len(set(steps)) > 1:
            raise RuntimeError(
                "All processes of a group must fit alike, one step after the other, "
                f"but they are at different steps: {steps}. If one of them has failed, "
                "end all and start them anew."
            )
        return [theirs for _, theirs in gathered]

    def check_same(self, own: dict[str, str], what: str) -> None:
        """Refuse values that are not the same in all processes."""
        all_values = self.gather(own, what)
        different = [
            f"{name} is {[values.get(name) for values in all_values]}"
            for name in own
            if len({values.get(name) for values in all_values}) > 1
        ]
        if different:
            raise ValueError(
                f"{what} must be the same in all processes of a data-parallel fit, but "
                f"{'; '.join(different)}, in the order of ranks. Make them the same, "
                "or fit before the process group is made."
            )

    def share_first(self, tensors: dict[str, Tensor]) -> None:
        """Overwrite the tensors of all processes with those of the first."""
        with _named_failure():
            for tensor in tensors.values():
                dist.broadcast(tensor, 0)

    def agree(self, make: Callable[[], Made]) -> Made:
        """What this process makes; if one cannot, none goes on and waits for it."""
        failure: Exception | None = None
        try:
            made = make()
        except Exception as error:
            failure = error
        said = None if failure is None else f"{type(failure).__name__}: {failure}"
        for rank, other in enumerate(self.gather(said, "whether all can go on")):
            if failure is None and other is not None:
                raise RuntimeError(
                    "All processes of a data-parallel fit must get what they can learn "
                    f"from, but that of rank {rank} could not go on: {other}"
                )
        if failure is not None:
            raise failure
        return made

    def agree_on_first(self, make: Callable[[], Made | None]) -> Made | None:
        """What the first process makes, and None in all others."""
        return self.agree(make if self.rank == 0 else lambda: None)


def current_world() -> World | None:
    """The processes that share a fit; None if this one is alone."""
    if not (dist.is_available() and dist.is_initialized()):
        return None
    return World() if dist.get_world_size() > 1 else None


@contextlib.contextmanager
def _named_failure() -> Iterator[None]:
    """Say what it means if the others cannot be reached."""
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError(
            "All processes of a data-parallel fit must stay at work until it ends, but "
            f"one has ended or cannot be reached: {error}. Look at its own error, and "
            "start all of them anew (with checkpoint_dir they go on where they were)."
        ) from error

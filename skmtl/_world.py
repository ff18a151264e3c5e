"""The processes of a data-parallel fit, as started with torch.distributed."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from torch import Tensor
from torch import distributed as dist

Made = TypeVar("Made")


class World:
    """All processes of the default group; each must call the same methods in order."""

    def __init__(self) -> None:
        self.rank: int = dist.get_rank()
        self.size: int = dist.get_world_size()

    def share_of(self, batch_size: int, n_rows: int) -> int:
        """Rows that this process adds to each batch, in proportion to its rows."""
        total = sum(self.gather(n_rows, "rows of an epoch"))
        return max(1, round(batch_size * n_rows / max(total, 1)))

    def sum(self, *tensors: Tensor) -> list[Tensor]:
        """Sums over the processes, identical to the last bit in all of them."""
        with _named_failure():
            for tensor in tensors:
                dist.all_reduce(tensor)
        return list(tensors)

    def gather(self, own: Made, what: str) -> list[Made]:
        """The values of all processes, in the order of their ranks."""
        gathered: list[Any] = [None] * self.size
        with _named_failure():
            dist.all_gather_object(gathered, (what, own))
        steps = [step for step, _ in gathered]
        if len(set(steps)) > 1:
            raise RuntimeError(
                "All processes of a group must run the same fit in step, but they are "
                f"at different steps: {steps}. If one of them has failed, stop all and "
                "start them again."
            )
        return [theirs for _, theirs in gathered]

    def check_same(self, own: dict[str, str], what: str) -> None:
        """Raise an error if values are not the same in all processes."""
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
                "or fit before you create the process group."
            )

    def share_first(self, tensors: dict[str, Tensor]) -> None:
        """Overwrite the tensors of all processes with those of the first one."""
        with _named_failure():
            for tensor in tensors.values():
                dist.broadcast(tensor, 0)

    def agree(self, make: Callable[[], Made]) -> Made:
        """The result of `make`; if it fails in one process, all processes raise."""
        failure: Exception | None = None
        try:
            made = make()
        except Exception as error:
            failure = error
        said = None if failure is None else f"{type(failure).__name__}: {failure}"
        for rank, other in enumerate(self.gather(said, "whether all can continue")):
            if failure is None and other is not None:
                raise RuntimeError(
                    "All processes of a data-parallel fit must get data that they can "
                    f"learn from, but the process of rank {rank} failed: {other}"
                )
        if failure is not None:
            raise failure
        return made

    def agree_on_first(self, make: Callable[[], Made | None]) -> Made | None:
        """The result of `make` in the first process, and None in all others."""
        return self.agree(make if self.rank == 0 else lambda: None)


def current_world() -> World | None:
    """The processes that share a fit; None if there is only this one."""
    if not (dist.is_available() and dist.is_initialized()):
        return None
    return World() if dist.get_world_size() > 1 else None


@contextlib.contextmanager
def _named_failure() -> Iterator[None]:
    """Explain the error if other processes cannot be reached."""
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError(
            "All processes of a data-parallel fit must run until it ends, but one has "
            f"ended or cannot be reached: {error}. Look at the error of that process, "
            "and start all of them again (with checkpoint_dir, the fit resumes)."
        ) from error

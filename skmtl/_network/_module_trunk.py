"""A trunk made of the user's own torch.nn.Module, with a copy for each bank."""

import contextlib
import copy
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from skmtl._network._banks import parameter_device
from skmtl._network._dropout import apply_dropout

_random_lock = threading.RLock()


def _begin_anew_in_child() -> None:
    """Replace the lock after a fork: another thread of the parent may hold it."""
    global _random_lock
    _random_lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_begin_anew_in_child)


class ModuleTrunk(nn.Module):
    """Modules that read the same rows, side by side.

    They are in training mode only during a step with dropout. Batch statistics are
    learned there and used everywhere else.
    """

    def __init__(
        self, modules: Sequence[nn.Module], input_shape: tuple[int, ...], scale: float
    ) -> None:
        super().__init__()
        self.banks = nn.ModuleList(modules)
        self.input_shape = input_shape
        self.scale = scale
        for module in modules:  # lazy modules get their parameters
            _run_dry(module.eval(), input_shape)
        measured = _measure(modules[0], input_shape)
        self.width = measured.width
        self.draws_globally = measured.draws_globally
        self.work_per_row = len(modules) * measured.work_per_row
        self.units_per_row = len(modules) * measured.units_per_row
        self.eval()

    @property
    def n_layers(self) -> int:
        """Number of children with parameters, which can be frozen one by one."""
        return len(self._layers(self.banks[0]))

    def frozen_parameters(self, n_layers: int) -> list[nn.Parameter]:
        """The parameters of the first layers, and those that the user has frozen."""
        if n_layers >= self.n_layers:
            return list(self.parameters())
        frozen = [p for p in self.parameters() if not p.requires_grad]
        for layer in self.first_layers(n_layers):
            frozen += layer.parameters()
        return frozen

    def first_layers(self, n_layers: int) -> list[nn.Module]:
        """The first children of each module."""
        return [
            layer for module in self.banks for layer in self._layers(module)[:n_layers]
        ]

    def _layers(self, module: nn.Module) -> list[nn.Module]:
        children = [c for c in module.children() if list(c.parameters())]
        return children or [module]

    def copy_banks(
        self, banks: Sequence[int], source: "ModuleTrunk", source_banks: Sequence[int]
    ) -> None:
        """Copy modules of another trunk."""
        for bank, source_bank in zip(banks, source_banks, strict=True):
            self.banks[bank] = copy.deepcopy(source.banks[source_bank])

    def with_banks(self, n_banks: int) -> "ModuleTrunk":
        """A trunk of `n_banks` copies of the first module."""
        modules = [copy.deepcopy(self.banks[0]) for _ in range(n_banks)]
        return ModuleTrunk(modules, self.input_shape, self.scale)


class ModulePass:
    """The computation of a `ModuleTrunk`, with autograd for the backward pass."""

    def __init__(self, trunk: ModuleTrunk, n_frozen_layers: int = 0) -> None:
        self.trunk = trunk
        frozen = {id(p) for p in trunk.frozen_parameters(n_frozen_layers)}
        self.parameters = [p for p in trunk.parameters() if id(p) not in frozen]
        self.is_frozen = not self.parameters
        # Without parameters there can still be dropout, or statistics to learn.
        self.only_predicts = n_frozen_layers >= trunk.n_layers
        modules = list(trunk.modules())
        self.dropouts = [m for m in modules if isinstance(m, OwnDropout)]
        self.batch_norms = [m for m in modules if isinstance(m, _BatchNorm)]
        self.frozen_layers = trunk.first_layers(n_frozen_layers) + [
            norm
            for norm in self.batch_norms
            if norm.affine and not any(p.requires_grad for p in norm.parameters())
        ]

    def forward(
        self,
        x: Tensor,
        generator: torch.Generator | None,
        tape: list[Any] | None = None,
    ) -> Tensor:
        """(batch, n_features) -> ([n_banks,] batch, width).

        Frozen layers work as in prediction.
        """
        x = x.unflatten(1, self.trunk.input_shape)
        if self.trunk.scale != 1.0:
            x = x * self.trunk.scale
        if self.only_predicts:
            generator = None
        if tape is None:
            return self._run(x, generator)
        with torch.set_grad_enabled(not self.is_frozen):
            out = self._run(x, generator)
        tape.append(out)
        return out.detach()

    def _run(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        with self._mode(x, generator):
            # Copies, since a module can work in place and x can be the user's own.
            parts = [module(x.clone()) for module in self.trunk.banks]
        return parts[0] if len(parts) == 1 else torch.stack(parts)

    @contextlib.contextmanager
    def _mode(self, x: Tensor, generator: torch.Generator | None) -> Iterator[None]:
        """Training mode if there is a generator, which gives all random numbers."""
        trunk = self.trunk
        if generator is None:
            yield
            return
        trunk.train()
        for layer in self.frozen_layers:
            layer.eval()
        if len(x) == 1:  # one row has no variance
            for layer in self.batch_norms:
                layer.eval()
        for dropout in self.dropouts:
            dropout.generator = generator
        try:
            if trunk.draws_globally:
                with seeded_global_generators(generator, x.device):
                    yield
            else:
                yield
        finally:
            for dropout in self.dropouts:
                dropout.generator = None
            trunk.eval()

    def backward(
        self, tape: list[Any], gradient: Tensor, *, wants_input: bool = False
    ) -> None:
        """Set the parameters' gradients from that of the output; x has none."""
        (out,) = tape
        if not out.requires_grad:
            raise ValueError(
                "The output of the trunk must depend on its parameters, but it has no "
                "gradient. Do not use torch.no_grad or detach in the trunk, or use "
                "freeze='trunk'."
            )
        gradients = torch.autograd.grad(
            out, self.parameters, gradient, allow_unused=True
        )
        for parameter, part in zip(self.parameters, gradients, strict=True):
            kept = cast(Tensor, parameter.grad)
            if part is None:
                kept.zero_()
            else:
                kept.copy_(part)


class OwnDropout(nn.Dropout):
    """Dropout with the generator that a pass sets for the duration of a step."""

    generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Inverted dropout in training mode."""
        return apply_dropout(x, self.p, self.generator if self.training else None)


# Building -------------------------------------------------------------------------


def build_module_trunk(
    trunk: Any,
    input_shape: tuple[int, ...],
    scale: float,
    n_banks: int,
    generator: torch.Generator,
) -> ModuleTrunk:
    """`n_banks` modules of the estimator's parameter `trunk`."""
    make = _factory(trunk)
    with seeded_global_generators(generator, torch.device("cpu")):
        modules = [_make(make, input_shape, generator) for _ in range(n_banks)]
        return ModuleTrunk(modules, input_shape, scale)


def _factory(trunk: Any) -> Callable[..., nn.Module]:
    if isinstance(trunk, nn.Module):
        return lambda input_shape, generator: trunk
    if hasattr(trunk, "build"):
        if isinstance(trunk, type):
            raise ValueError(
                f"trunk must be a spec object; got the class {trunk.__name__}. Pass an "
                f"object: {trunk.__name__}()."
            )
        build: Callable[..., nn.Module] = trunk.build
        return build
    return cast(Callable[..., nn.Module], trunk)


def _make(
    make: Callable[..., nn.Module],
    input_shape: tuple[int, ...],
    generator: torch.Generator,
) -> nn.Module:
    try:
        # The generator is for the CPU; the network is moved to its device later.
        with torch.device(parameter_device()):
            module = make(input_shape, generator)
    except TypeError as error:
        if isinstance(error, ValueError):  # an invalid parameter of the spec
            raise
        raise ValueError(
            "trunk must be a module, or a callable trunk(input_shape, generator) that "
            f"makes one; called with {input_shape} and a generator, it raised "
            f"{error!r}. Wrap it in a function of these two arguments."
        ) from error
    if not isinstance(module, nn.Module):
        raise ValueError(
            "trunk must make a torch.nn.Module, but it made an object of type "
            f"{type(module).__name__}. Return the module."
        )
    # A factory can return the same module every time.
    module = copy.deepcopy(module).float()
    if parameter_device().type == "cpu":
        module = module.cpu()
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):  # also repeated children
            if type(child) is nn.Dropout and child.p < 1:
                setattr(parent, name, OwnDropout(child.p))
    return module


class _Measured(NamedTuple):
    """What a dry run measures of a module."""

    width: int
    work_per_row: int  # multiply-adds
    units_per_row: int  # elements that its layers return
    draws_globally: bool  # whether it draws from torch's global generator in training


@torch.no_grad()
def _run_dry(module: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Run a module on two rows; returns the width of its output."""
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    # As in training, whatever the caller's default dtype or autocast mode is.
    x = torch.zeros(2, *input_shape, device=device, dtype=torch.float32)
    try:
        with contextlib.ExitStack() as stack:
            if torch.amp.is_autocast_available(device.type):
                stack.enter_context(torch.autocast(device.type, enabled=False))
            out = module(x)
    except Exception as error:
        raise ValueError(
            f"The trunk must read rows of shape {input_shape}, but for a batch of "
            f"shape {tuple(x.shape)} it raised {error!r}. Change the trunk or the "
            "shape of X, so that they match."
        ) from error
    _check_output(out, tuple(x.shape))
    return int(out.shape[1])


def _measure(module: nn.Module, input_shape: tuple[int, ...]) -> _Measured:
    """Measure a copy of the module in training mode."""
    probe, n_units = copy.deepcopy(module).train(), 0

    def count(module: nn.Module, args: Any, out: Any) -> None:
        nonlocal n_units
        n_units += out.numel() if isinstance(out, Tensor) else 0

    for part in probe.modules():
        part.register_forward_hook(count)
    with _random_lock, torch.random.fork_rng([]):
        before = torch.get_rng_state()
        with FlopCounterMode(display=False) as counter:
            width = _run_dry(probe, input_shape)
        draws_globally = not torch.equal(before, torch.get_rng_state())
    # The counts are for two rows, with an addition for each multiplication.
    return _Measured(
        width, counter.get_total_flops() // 4, n_units // 2, draws_globally
    )


def _check_output(out: Any, input_shape: tuple[int, ...]) -> None:
    advice = "End it with torch.nn.Flatten() or a linear layer."
    if not isinstance(out, Tensor):
        raise ValueError(
            f"The trunk must return a tensor (batch, width); got an object of type "
            f"{type(out).__name__} for a batch of shape {input_shape}. Return only the "
            "features."
        )
    if out.ndim != 2 or len(out) != input_shape[0] or out.shape[1] == 0:
        raise ValueError(
            f"The trunk must return a tensor (batch, width); got shape "
            f"{tuple(out.shape)} for a batch of shape {input_shape}. {advice}"
        )
    if out.dtype != torch.float32:
        raise ValueError(
            f"The trunk must return float32 for float32 rows; got {out.dtype}. Convert "
            "its output with .float()."
        )


@contextlib.contextmanager
def seeded_global_generators(
    generator: torch.Generator, device: torch.device
) -> Iterator[None]:
    """Seed torch's global generators from `generator`, and restore them at the end."""
    seed = torch.randint(2**62, (), generator=generator, device=generator.device).item()
    is_cuda = device.type == "cuda"
    with _random_lock, torch.random.fork_rng([device] if is_cuda else []):
        torch.default_generator.manual_seed(int(seed))
        if is_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(int(seed))
        yield

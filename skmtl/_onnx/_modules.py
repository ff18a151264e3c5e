"""A torch.nn.Module as part of a graph."""

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from skmtl._network import ModuleTrunk
from skmtl._onnx._graph import OPSETS, Graph

_LOGGERS = (
    "torch.onnx._internal.exporter._registration",
    "torch.fx.experimental.symbolic_shapes",
)


def module_trunk(graph: Graph, trunk: ModuleTrunk, x: str) -> str:
    """(n, n_features) -> ([n_banks,] n, width)."""
    x = graph.reshape(x, 0, *trunk.input_shape)
    if trunk.scale != 1.0:
        x = graph("Mul", x, np.float32(trunk.scale))
    banks = _Banks(copy.deepcopy(trunk.banks).cpu().eval())
    (features,) = graph.merge(_exported(banks, trunk.input_shape), {"x": x})
    return features


class _Banks(nn.Module):
    """All modules as one, since torch takes seconds to export each module."""

    def __init__(self, banks: nn.ModuleList) -> None:
        super().__init__()
        self.banks = banks

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Do the same as `ModulePass.forward`."""
        parts = [module(x.clone()) for module in self.banks]
        return parts[0] if len(parts) == 1 else torch.stack(parts)


def _exported(module: nn.Module, input_shape: tuple[int, ...]) -> object:
    """Export a module with torch."""
    example = torch.zeros(2, *input_shape, dtype=torch.float32, device="cpu")
    try:
        with _quiet():
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                opset_version=OPSETS[""],
                input_names=["x"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
        assert program is not None
        return program.model_proto
    except ImportError as error:
        raise ImportError(
            "To export your own trunk, torch needs the package onnxscript: "
            f"{error}. Install skmtl[onnx]."
        ) from error
    except Exception as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise ValueError(
            "The trunk must be a module that torch.onnx.export can export for any "
            f"number of rows, but that raises {type(error).__name__}: {reason} Use "
            "layers of torch.nn, without code that depends on the values or on the "
            "number of rows."
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence messages of torch about other packages and its own code."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

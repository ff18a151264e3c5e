"""Training: the loop, its steps and solvers, threads, and states to resume from."""

from skmtl._training._blocks import read_block
from skmtl._training._logistic import Inputs, fit_logistic
from skmtl._training._loop import TrainingResult, TrainingState, train
from skmtl._training._losses import chunk_size, iter_chunks, mean_task_losses
from skmtl._training._progress import Epoch, best_validation_score, mean_score
from skmtl._training._solver_state import SolverState
from skmtl._training._steps import Freeze, TrainingPlan
from skmtl._training._streamed_rows import StreamedRows, prefetched
from skmtl._training._threads import Workers, thread_limit
from skmtl._training._training_rows import Piece, RowsInMemory, TrainingRows

__all__ = [
    "Epoch",
    "Freeze",
    "Inputs",
    "Piece",
    "RowsInMemory",
    "SolverState",
    "StreamedRows",
    "TrainingPlan",
    "TrainingResult",
    "TrainingRows",
    "TrainingState",
    "Workers",
    "best_validation_score",
    "chunk_size",
    "fit_logistic",
    "iter_chunks",
    "mean_score",
    "mean_task_losses",
    "prefetched",
    "read_block",
    "thread_limit",
    "train",
]

"""The weights of a task's labels, from weights of rows or of labels."""

from numpy.typing import NDArray


def label_weights(
    weights: NDArray | None, task: int, rows: NDArray | slice = slice(None)
) -> NDArray | None:
    """(n_rows,) of float64, from (n_samples, 1) or (n_samples, n_tasks), or None."""
    if weights is None:
        return None
    own: NDArray = weights[rows, min(task, weights.shape[1] - 1)].astype("float64")
    return own

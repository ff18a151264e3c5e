"""What "auto" stands for: rules by the rows, the labels and the kind of X.

The measure of the labels is what they tell: rows times the loss of predicting the
frequencies of each task's classes, in nats. It counts missing and rare labels as what
they are. The numbers were chosen as docs/user_guide/defaults.md tells.
"""

import math
from dataclasses import dataclass

# From here on a fit takes long enough for two members on two cores.
MANY_ROWS = 30_000


@dataclass(frozen=True)
class LabelledData:
    """What the rules look at."""

    n_rows: int  # with a label
    n_features: int
    n_numeric: int  # columns that are not categories
    loss: float  # of the best constant prediction, summed over the labels of a row
    mean_weight: float  # of a row
    total_loss: float  # the same, where it is not that of one of separate networks
    is_sparse: bool
    row_norm: float  # mean squared length of a sparse row, else 0
    has_own_trunk: bool  # a module of the user's, in place of hidden layers
    number_share: float  # of the loss that is one of numbers
    is_log_density: bool  # whether the loss may be negative

    @property
    def nats(self) -> float:
        """What the labels tell."""
        return max(self.n_rows * self.loss, 1.0)


def n_members(data: LabelledData) -> int:
    """Four that leave out rows in turn on small tables, one where it takes seconds."""
    if data.n_rows < _rows_of_several(data):
        return 2 if data.has_own_trunk else 4
    return 1 if data.n_rows < MANY_ROWS else 2


def leaves_out(data: LabelledData, n_members: int) -> bool:
    """Whether each member leaves out its share of the rows.

    Fewer rows do for numbers: none of them is the only one of its class.
    """
    fewest = 20 if data.number_share > 0.5 else 100
    return n_members >= 4 and fewest <= data.n_rows < _rows_of_several(data)


def _rows_of_several(data: LabelledData) -> int:
    """Deviations can be trusted only if rows that were left out have checked them."""
    return MANY_ROWS if data.is_log_density else 5_000


def n_bins(data: LabelledData) -> int:
    """Finer where there are rows to place the borders, and few columns to pay for."""
    if data.n_rows < 1_000:
        return 4
    if data.n_rows < 4_000:
        return 8
    return min(max(320 // max(data.n_numeric, 1), 12), 48)


def dropout(data: LabelledData) -> float:
    """Less where the labels tell more, and so can teach more units.

    On dense tables of numbers it is a beginning, see `drops_less`.
    """
    doublings = math.log2(data.nats / 15_000)
    rate = min(0.5, max(0.2, 0.5 - 0.1 * doublings))
    if data.is_sparse:
        rate += (0.1 - rate) * data.number_share
    return round(rate, 3)


def drops_less(data: LabelledData) -> bool:
    """Whether the loss in training says what is left to explain, and not by heart.

    Numbers are hard to learn by heart: their noise differs from row to row.
    """
    has_many_rows = data.n_rows >= max(4_000, 100 * data.n_features)
    return (has_many_rows or data.number_share > 0.5) and not data.is_sparse


def input_dropout(data: LabelledData) -> float:
    """Less where the labels of classes tell more."""
    return 0.2 if data.nats < 15_000 or data.number_share > 0.5 else 0.1


def solver(data: LabelledData) -> str:
    """Adam takes full steps for columns that hardly any of a few rows has."""
    return "sgd" if data.is_sparse and data.n_rows < 10_000 else "adam"


def adam_step(data: LabelledData) -> float:
    """Longer for numbers on dense tables, whose loss does not end at certainty."""
    return 0.002 if data.is_sparse else 0.002 + 0.004 * data.number_share


def batch_size(data: LabelledData) -> int:
    """A twentieth of a small table, so that an epoch has some steps."""
    if data.n_rows >= MANY_ROWS:
        return 400
    if data.is_sparse:
        return 200
    return min(max(100, data.n_rows // 20), 200)


def n_epochs(data: LabelledData, batch_size: int) -> int:
    """What counts is steps: they grow more slowly than what the labels tell.

    Where there are many rows, two members on twice the batch learn as much in a third
    of the steps. Numbers of a few rows say more than so few classes would.
    """
    fewest = 50 + 500 * data.number_share
    steps = min(max(400 * (data.nats / 1_500) ** 0.4, fewest), 10_000)
    if data.n_rows >= MANY_ROWS:
        steps *= 0.3
    n_batches = max(1, math.ceil(data.n_rows / batch_size))
    return max(1, round(steps / n_batches))

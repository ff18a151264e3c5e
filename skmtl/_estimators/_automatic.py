"""What "auto" stands for: rules by the rows, the labels and the kind of X.

Labels are measured by the information that they carry: rows times the loss of
predicting the class frequencies of each task, in nats. Missing labels add nothing to
it, and rare classes add little. docs/user_guide/defaults.md says how the numbers were
chosen.
"""

import math
from dataclasses import dataclass

# With this many rows, a fit takes long enough to use two cores for two members.
MANY_ROWS = 30_000
# With fewer, a fit has coarser bins, and takes fewer and larger steps.
FEW_ROWS = 1_000
# With fewer, several members leave out rows in turn.
_ROWS_OF_SEVERAL = 5_000
# With fewer nats, so they do on larger tables, too: a few hundred nats come from some
# dozens of labels of rare classes, which a single member memorises.
_FEW_NATS = 1_000
# Of so many folds of sparse rows, each member leaves out one: a few rows are enough to
# weigh logistic regressions, and members learn from the others.
_FOLDS_OF_SPARSE_ROWS = 16
# Dropout follows the loss of left-out rows below this share of the constant loss. With
# noisy labels, the loss stays above it, and dropout is as good as it was.
FOLLOWED_SHARE_OF_LEFT_OUT = 0.7
# With fewer nats, few sparse rows get narrow layers, which take half as long and
# predict as well. Half as many units need larger steps and less dropout.
_NATS_OF_NARROW_LAYERS = 5_000
HIDDEN_LAYER_SIZES, NARROW_LAYERS = (256, 256), (128, 128)
NARROW_STEP_FACTOR, _LESS_DROPOUT = 1.4, 0.08
# Mean squared length of sparse rows with large numbers.
_LONG_ROW = 1_000


@dataclass(frozen=True)
class LabelledData:
    """What the rules need to know."""

    n_rows: int  # with a label
    n_features: int
    n_numeric: int  # columns that are not categories
    loss: float  # of the best constant prediction, summed over the labels of a row
    mean_weight: float  # of a row
    total_loss: float  # `loss` of all tasks; that of separate networks is a mean
    is_sparse: bool
    row_norm: float  # mean squared length of a sparse row, else 0
    has_own_trunk: bool  # a module of the user's, instead of hidden layers
    number_share: float  # share of the loss that comes from numbers
    is_log_density: bool  # whether the loss can be negative

    @property
    def nats(self) -> float:
        """The information that the labels carry."""
        return max(self.n_rows * self.loss, 1.0)

    @property
    def total_nats(self) -> float:
        """The information of all tasks, also for one of separate networks."""
        return self.n_rows * self.total_loss

    @property
    def is_of_numbers(self) -> bool:
        """Whether the rules for numbers hold, not those for classes."""
        return self.number_share > 0.5


def hidden_layer_sizes(data: LabelledData) -> tuple[int, ...]:
    """Narrow for classes on few sparse rows with few nats.

    Separate networks count together, to be like the joint one.
    """
    has_few_labels = data.total_nats < _NATS_OF_NARROW_LAYERS
    has_few_rows = data.n_rows < _ROWS_OF_SEVERAL
    is_narrow = has_few_labels and has_few_rows and solver(data) == "sgd"
    return NARROW_LAYERS if is_narrow else HIDDEN_LAYER_SIZES


def n_members(data: LabelledData, *, can_leave_out: bool = True) -> int:
    """Four for few rows or nats, to leave out rows in turn; one if a fit is long.

    On many sparse rows, two members gain more than on dense ones. On many rows with few
    nats, they gain nothing if the fit cannot leave out rows.
    """
    if data.n_rows < _rows_of_several(data, can_leave_out):
        return 2 if data.has_own_trunk else 4
    return 2 if data.n_rows >= MANY_ROWS or _has_many_sparse_rows(data) else 1


def n_folds(data: LabelledData, n_members: int) -> int:
    """Into how many folds rows are divided, of which each member leaves out its own.

    0 if no row is left out. Numbers need fewer rows: no row can be the only one of its
    class. Logistic regressions can help classes on many sparse rows, too.
    """
    fewest = 20 if data.is_of_numbers else 100
    if n_members >= 4 and fewest <= data.n_rows < _rows_of_several(data):
        return n_members
    is_of_classes = not data.is_of_numbers
    if is_of_classes and _has_many_sparse_rows(data) and n_members > 1:
        return max(_FOLDS_OF_SPARSE_ROWS, n_members + 1)
    return 0


def _rows_of_several(data: LabelledData, can_leave_out: bool = True) -> int:
    """More for log-densities: left-out rows calibrate the predicted deviations.

    And for rare classes on dense tables, which logistic regressions often predict
    better. Separate networks count together there, to be like the joint one.
    """
    has_few_labels = data.total_nats < _FEW_NATS
    has_rare_classes = has_few_labels and _is_dense_table(data)
    gains = data.is_log_density or (has_rare_classes and can_leave_out)
    return MANY_ROWS if gains else _ROWS_OF_SEVERAL


def n_bins(data: LabelledData) -> int:
    """Finer bins if there are enough rows to place the edges, and few columns.

    Numbers tell more about the edges than classes.
    """
    if data.n_rows < FEW_ROWS:
        return 4
    finest = min(max(320 // max(data.n_numeric, 1), 12), 48)
    if data.n_rows < 4_000:
        return min(finest, 16) if data.is_of_numbers else 8
    return finest


def bins_read_labels(data: LabelledData, n_bins: int) -> bool:
    """Whether some bins begin at splits of decision trees; few rows gain nothing.

    Steps take at most two thirds of the bins, so there must be three.
    """
    return data.n_rows >= FEW_ROWS and n_bins >= 3


def dropout(data: LabelledData, *, is_narrow: bool = False) -> float:
    """Less if the labels carry more information, and so can train more units.

    And less if the layers are narrow, and so have fewer units to drop. This is the rate
    at the start of the fit; see `follows_loss`.
    """
    doublings = math.log2(data.nats / 15_000)
    rate = min(0.5, max(0.2, 0.5 - 0.1 * doublings))
    if data.is_sparse:
        rate += (0.1 - rate) * data.number_share
    if is_narrow:
        rate -= _LESS_DROPOUT
    return round(rate, 3)


def follows_loss(data: LabelledData) -> bool:
    """Whether dropout falls, and perhaps the steps grow, with the training loss.

    They do if the loss shows how much is left to learn, not how much was memorised.
    Numbers are hard to memorise: their noise differs from row to row.
    """
    has_many_rows = data.n_rows >= max(4_000, 100 * data.n_features)
    return (has_many_rows or data.is_of_numbers) and not data.is_sparse


def follows_left_out_loss(data: LabelledData) -> bool:
    """Whether they follow the loss of left-out rows instead.

    It cannot be low because rows were memorised, so fewer rows are enough. But each
    column of a wide table has too few rows to learn from without dropout.
    """
    has_rows = data.n_rows >= max(FEW_ROWS, 25 * data.n_features)
    is_of_classes = not data.is_of_numbers and not data.is_log_density
    return _is_dense_table(data) and has_rows and is_of_classes


def ends_dropout(data: LabelledData) -> bool:
    """Whether dropout also falls to 0 for labels that are nearly certain.

    Rare classes are learned late with dropout, although rules may decide them. For
    numbers, it was not tried.
    """
    return not data.is_of_numbers


def ends_input_dropout(data: LabelledData) -> bool:
    """Whether input dropout ends earlier, as soon as much of the numbers is explained.

    A network that misses every fifth column cannot learn exactly how the numbers depend
    on several. But few rows are memorised without this noise, and outliers cost
    log-densities most.
    """
    has_rows = data.n_rows >= FEW_ROWS
    return data.is_of_numbers and has_rows and not data.is_log_density


def raises_steps(data: LabelledData) -> bool:
    """Whether the learning rate of "adam" rises as the loss falls, see `follows_loss`.

    Steps for numbers are larger from the start.
    """
    return not data.is_of_numbers


def input_dropout(data: LabelledData) -> float:
    """Less if the labels of classes carry more information."""
    return 0.2 if data.nats < 15_000 or data.is_of_numbers else 0.1


def solver(data: LabelledData) -> str:
    """On few sparse rows, Adam takes full steps for columns that hardly any row has.

    For numbers it is nevertheless better, and log-densities diverge with SGD. So it is
    for rows with large numbers, with which SGD must take tiny steps in all columns.
    """
    is_of_classes = not data.is_of_numbers and not data.is_log_density
    is_small = data.is_sparse and data.n_rows < 10_000
    is_short = data.row_norm <= _LONG_ROW
    return "sgd" if is_small and is_short and is_of_classes else "adam"


def adam_step(data: LabelledData) -> float:
    """Larger for numbers on dense tables, whose loss does not saturate.

    And for classes on few rows, which are trained for fewer steps; see `n_epochs`.
    """
    if data.is_sparse:
        return 0.002
    step = 0.003 if _is_small_and_dense(data) else 0.002
    return step + (0.006 - step) * data.number_share


def _is_dense_table(data: LabelledData) -> bool:
    return not data.is_sparse and not data.has_own_trunk


def _is_small_and_dense(data: LabelledData) -> bool:
    return _is_dense_table(data) and data.n_rows < FEW_ROWS


def _has_many_sparse_rows(data: LabelledData) -> bool:
    """Whether rows are many and sparse, and the fit is not long in any case."""
    is_many = data.n_rows >= _ROWS_OF_SEVERAL and data.nats < 200_000
    return data.is_sparse and is_many


def batch_size(data: LabelledData) -> int:
    """A twentieth of the rows of a small table, so that an epoch has several steps."""
    if data.n_rows >= MANY_ROWS:
        return 400
    if data.is_sparse:
        return 200
    return min(max(100, data.n_rows // 20), 200)


def n_epochs(data: LabelledData, batch_size: int) -> int:
    """As many as give a number of steps that grows more slowly than the nats.

    On many rows, two members with twice the batch size learn as much in a third of the
    steps. On few dense rows of classes, 0.7 times as many steps that are larger do as
    well. Many sparse rows have more columns to learn, and need 1.6 times as many. A few
    rows of numbers tell more than as many of classes. Many dense rows of rare classes
    have few nats, but rules can be learned from them.
    """
    of_classes = 500 if data.n_rows >= FEW_ROWS and _is_dense_table(data) else 50
    fewest = of_classes + (550 - of_classes) * data.number_share
    steps = min(max(400 * (data.nats / 1_500) ** 0.4, fewest), 10_000)
    if data.n_rows >= MANY_ROWS:
        steps *= 0.3
    if _has_many_sparse_rows(data):
        steps *= 1.6
    if _is_small_and_dense(data):
        steps *= 0.7 + 0.3 * data.number_share
    n_batches = max(1, math.ceil(data.n_rows / batch_size))
    return max(1, round(steps / n_batches))


def max_doublings(data: LabelledData) -> int:
    """How often the number of epochs can double, while the loss of left-out rows falls.

    Numbers with little noise can be learned ever more exactly, and so can classes that
    follow from rules of the columns, but not from a few rows. The loss of a log-density
    can be negative; a share of it would mean nothing.
    """
    is_large_table = _is_dense_table(data) and data.n_rows >= FEW_ROWS
    can_double = data.is_of_numbers or is_large_table
    return 2 if can_double and not data.is_log_density else 0

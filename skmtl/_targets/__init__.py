"""Read y from any container, and convert predictions back.

Code -1 is a missing label or number. Code c is the class `labels[c]` of a task with
classes. In a numeric task, code 0 is an observed number.
"""

from skmtl._targets._containers import Column, as_array, is_missing, read_columns
from skmtl._targets._encoding import (
    Encoded,
    TaskTypes,
    check_same_classes,
    check_same_types,
    decode,
    encode,
    encode_new_tasks,
    finite_in_units,
)
from skmtl._targets._labels import tidy_labels
from skmtl._targets._masks import mask_targets, without_labels
from skmtl._targets._numbers import (
    N_STRATA,
    Numbers,
    as_codes_by_rank,
    finite_numbers,
    learn_scale,
    must_be_numbers,
    plain_numbers,
)
from skmtl._targets._seen import TargetsSeen
from skmtl._targets._suspects import warn_of_suspects
from skmtl._targets._tasks import (
    Classes,
    Tasks,
    are_many_whole_numbers,
    check_labelled,
    check_same_names,
    check_types_known,
    classes_attribute,
    is_binary,
    joined_tasks,
    named_tasks,
    task_names,
    warn_of_measurements,
    warn_of_one_value,
    without_tasks,
)

__all__ = [
    "N_STRATA",
    "Classes",
    "Column",
    "Encoded",
    "Numbers",
    "TargetsSeen",
    "TaskTypes",
    "Tasks",
    "are_many_whole_numbers",
    "as_array",
    "as_codes_by_rank",
    "check_labelled",
    "check_same_classes",
    "check_same_names",
    "check_same_types",
    "check_types_known",
    "classes_attribute",
    "decode",
    "encode",
    "encode_new_tasks",
    "finite_in_units",
    "finite_numbers",
    "is_binary",
    "is_missing",
    "joined_tasks",
    "learn_scale",
    "mask_targets",
    "must_be_numbers",
    "named_tasks",
    "plain_numbers",
    "read_columns",
    "task_names",
    "tidy_labels",
    "warn_of_measurements",
    "warn_of_one_value",
    "warn_of_suspects",
    "without_labels",
    "without_tasks",
]

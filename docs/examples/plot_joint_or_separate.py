"""
=================================================
Does joint training help? Measure it task by task
=================================================

Is one joint network better than a network for each task? This example compares the two
on three simulated data sets:

- related tasks with few labels, which mix the same directions of the input in different
  proportions;
- unrelated tasks;
- tasks of which one contradicts the others, in a tiny network.
"""

# %%
# Compare joint and separate networks
# -----------------------------------
# ``transfer_gain`` fits both kinds of network on the same folds with the same seeds and
# gives a verdict for each task. The verdict is "cannot tell" if the interval of the
# gain contains 0, which is common with few test rows.
from skmtl import MultiTaskNetClassifier
from skmtl.datasets import make_multitask_classification
from skmtl.inspection import transfer_gain

related = make_multitask_classification(800, 10, 8, missing_rate=0.7, random_state=0)
unrelated = make_multitask_classification(
    300, 6, 4, n_hidden=1, relatedness=0.0, random_state=0
)
contradictory = make_multitask_classification(
    400, 4, 3, n_contradictory=1, random_state=0
)


def network(n_units):
    """A plain network without dropout and without bins for the numbers."""
    return MultiTaskNetClassifier(
        (n_units,),
        n_members=1,
        max_iter=40,
        batch_size=32,
        dropout=0.0,
        input_dropout=0.0,
        input_encoding="none",
        learning_rate_init=0.01,
    )


results = {
    "related, 30 % of the labels": transfer_gain(network(32), *related, random_state=0),
    "unrelated": transfer_gain(network(16), *unrelated, n_repeats=2, random_state=0),
    "contradictory, two units": transfer_gain(
        network(2), *contradictory, n_repeats=2, random_state=0
    ),
}
for name, result in results.items():
    print(f"{name}\n{result}\n")

# %%
# The gains with their intervals
# ------------------------------
import matplotlib.pyplot as plt

from skmtl.inspection import TransferGainDisplay

figure, axes = plt.subplots(1, 3, figsize=(14, 4), layout="constrained")
for ax, (name, result) in zip(axes, results.items(), strict=True):
    TransferGainDisplay.from_result(result, ax=ax)
    ax.set_title(name)

# %%
# Is the network big enough?
# --------------------------
# Unrelated tasks compete for the units of a small trunk. With two units, separate
# networks learn little, so there is little to lose. Joint training loses most with
# eight units, and less as the trunk gets larger. On these data, it helps at no size.
from skmtl.inspection import CapacityCurveDisplay, capacity_curve

curve = capacity_curve(
    network(1), *unrelated, sizes=[2, 8, 32, 128], cv=5, random_state=0
)
print(curve)
CapacityCurveDisplay.from_result(curve)

# %%
# What are the labels of the other tasks worth?
# ---------------------------------------------
# Here one of the related tasks has few labels, and the others have all of theirs. A
# network for this task alone repeats its few rows, so that it trains on as many rows as
# the joint network. It needs several times as many labels to do as well.
from skmtl.inspection import LabelCurveDisplay, label_curve

X, Y = make_multitask_classification(600, 10, 8, random_state=0)
labels = label_curve(
    network(32), X, Y, "task_0", n_labels=[20, 50, 100, 200, 400], random_state=0
)
print(labels)
LabelCurveDisplay.from_result(labels)

# %%
# Which tasks belong together?
# ----------------------------
# These data have three tasks of one kind and three of another. With ``n_hidden=1``, the
# tasks of a kind are three copies of the same column. One fit is enough to find the two
# groups, because a step of the trunk for one task also lowers the loss of the other
# tasks of its kind.
import numpy as np

from skmtl.inspection import TaskAffinityDisplay, task_affinity

kinds = [
    make_multitask_classification(400, 6, 3, n_hidden=1, random_state=seed)
    for seed in (0, 100)
]
X, Y = (np.hstack(parts) for parts in zip(*kinds, strict=True))
affinity = task_affinity(network(32).set_params(random_state=0), X, Y)
print(affinity.groups())
TaskAffinityDisplay.from_result(affinity)
plt.show()

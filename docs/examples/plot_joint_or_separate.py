"""
===============================
Does joint training help, here?
===============================

Three made data sets, of which the truth is known: related tasks with few labels, which
mix the same directions of the input in different proportions, unrelated tasks, and a
task that contradicts the others in a tiny network. The same question is put to each of
them: one joint network, or one for each task?
"""

# %%
# One comparison for each data set
# --------------------------------
# ``transfer_gain`` fits both kinds of network on the same folds with the same seeds and
# gives each task a verdict. It says "cannot tell" where the interval of the gain
# contains 0: with few rows to test on that is most often the honest answer.
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
    """A plain network: no dropout, numbers as they are."""
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
# Unrelated tasks compete for the units of a small trunk. In two units a separate
# network learns little, so that there is little to lose; joint training costs most in
# eight units, and the less, the larger the trunk is from there on. It brings nothing
# here at any size.
from skmtl.inspection import CapacityCurveDisplay, capacity_curve

curve = capacity_curve(
    network(1), *unrelated, sizes=[2, 8, 32, 128], cv=5, random_state=0
)
print(curve)
CapacityCurveDisplay.from_result(curve)

# %%
# What are the labels of the other tasks worth?
# ---------------------------------------------
# One of the related tasks has few labels, the others have all. Alone, the task has a
# network that sees as many rows, the same few again and again. It needs several times
# as many labels of its own to do as well.
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
# Three tasks of one kind beside three of another; with ``n_hidden=1`` those of a kind
# are the same column three times. One fit is enough to see it: a step of the trunk for
# a task lowers the loss of its own kind.
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

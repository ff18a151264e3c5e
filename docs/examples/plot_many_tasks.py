"""
===========================================
A hundred tasks with a thousand labels each
===========================================

Multi-task learning helps most if each task has few labels, but all tasks together have
many: here, a hundred thousand. The data of this example are simulated: every task
depends on the same four directions of the input, with its own weights, and in a way
that no linear model can learn.
"""

# %%
# The data
# --------
# Each training row has labels for about twenty of the hundred tasks, and one label in
# twenty is wrong. The test rows have labels for all tasks.
import numpy as np

from skmtl.datasets import make_multitask_classification

X, Y, complete = make_multitask_classification(
    7000,
    20,
    100,
    label_noise=0.05,
    missing_rate=0.8,
    return_complete=True,
    random_state=0,
)
X_train, Y_train = X[:5000], Y[:5000]
X_test, Y_test = X[5000:], complete[5000:]
n_labels = (~np.isnan(Y_train)).sum(axis=0)
print(f"{len(n_labels)} tasks, {n_labels.min()} to {n_labels.max()} labels each")

# %%
# One network or a hundred
# ------------------------
# `sharing="none"` trains a hundred networks of the same size in one pass, for the same
# number of epochs and on the same labels.
from time import perf_counter

from skmtl import MultiTaskNetClassifier
from skmtl.metrics import multitask_score

network = MultiTaskNetClassifier(
    (64,), n_members=1, max_iter=40, dropout=0, input_dropout=0, random_state=0
)


def auc_of_tasks(model, n_tasks=100):
    """ROC AUC of each of the first tasks."""
    p = model.fit(X_train, Y_train[:, :n_tasks]).predict_proba(X_test)
    return multitask_score("roc_auc", Y_test[:, :n_tasks], p, average=None)


auc = {}
for sharing in ["hard", "none"]:
    start = perf_counter()
    auc[sharing] = auc_of_tasks(network.set_params(sharing=sharing))
    seconds = perf_counter() - start
    print(f"sharing={sharing!r}: ROC AUC {auc[sharing].mean():.3f}, {seconds:.0f} s")

# %%
# Each point is a task. Above the line, the joint network is better.
import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
ax.axline((0.85, 0.85), slope=1, color="gray", linestyle="--")
ax.plot(auc["none"], auc["hard"], ".", color="#0072B2")
ax.set(
    xlabel="ROC AUC, a network for each task",
    ylabel="ROC AUC, one joint network",
    title="100 tasks with 1,000 labels each",
    aspect="equal",
)

# %%
# How many tasks does it take?
# ----------------------------
# The next plot shows the score of the first ten tasks as more of the other tasks are
# trained with them. The rows, and the labels of the ten tasks, stay the same.
counts = [10, 20, 40, 70, 100]
network.set_params(sharing="hard")
beside = [auc_of_tasks(network, count)[:10].mean() for count in counts]

figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
ax.plot(counts, beside, "o-", color="#0072B2", label="joint")
ax.axhline(auc["none"][:10].mean(), color="#D55E00", linestyle="--", label="separate")
ax.set(xlabel="number of tasks", ylabel="ROC AUC of the first ten", xticks=counts)
ax.legend()
plt.show()

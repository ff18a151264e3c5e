"""
=================================
Missing labels: from none to 95 %
=================================

This example asks four yes-or-no questions about images of handwritten digits: is it
even, is it above four, does it have a loop, is it a prime? It removes more and more of
the labels, and compares four ways to learn from the rest:

1. **masked**: one network for all questions, whose loss uses only the observed labels.
   This is what `MultiTaskNetClassifier` does with NaN;
2. **complete rows**: the same network, fitted on the images with all four labels;
3. **filled with 0**: the same network, with every missing label replaced by "no";
4. **a forest per question**, each fitted on the images with a label of that question.
"""

# %%
# The data
# --------
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

X, digit = load_digits(return_X_y=True)
KINDS = {
    "even": [0, 2, 4, 6, 8],
    "above four": [5, 6, 7, 8, 9],
    "loop": [0, 6, 8, 9],
    "prime": [2, 3, 5, 7],
}
Y = pd.DataFrame({name: 1.0 * np.isin(digit, of) for name, of in KINDS.items()})
X_train, X_test, Y_train, Y_test = train_test_split(
    X, Y, test_size=0.4, random_state=0, stratify=digit
)

# %%
# Four ways to learn
# ------------------
# Each function returns the probability of "yes" for each test image and question. A
# question cannot be learned if all of its labels are the same: "complete rows" and the
# forests then return 0.5.
from sklearn.ensemble import RandomForestClassifier

from skmtl import MultiTaskNetClassifier


def network(X, Y, seed):
    model = MultiTaskNetClassifier(
        (128,), n_members=1, max_iter=40, batch_size=64, random_state=seed
    )
    return model.fit(X, Y).predict_proba(X_test)


def masked(Y, seed):
    return network(X_train, Y, seed)


def complete_rows(Y, seed):
    complete = Y.notna().all(axis=1).to_numpy()
    if (Y[complete].nunique() < 2).any():
        return np.full(Y_test.shape, 0.5)
    return network(X_train[complete], Y[complete], seed)


def filled_with_0(Y, seed):
    return network(X_train, Y.fillna(0), seed)


def forest_per_question(Y, seed):
    p = np.full(Y_test.shape, 0.5)
    for column, name in enumerate(Y):
        known = Y[name].notna().to_numpy()
        if Y[name].nunique() == 2:
            forest = RandomForestClassifier(200, random_state=seed)
            forest.fit(X_train[known], Y[name][known])
            p[:, column] = forest.predict_proba(X_test)[:, 1]
    return p


WAYS = {
    "masked": masked,
    "complete rows": complete_rows,
    "filled with 0": filled_with_0,
    "forest per question": forest_per_question,
}

# %%
# Remove labels
# -------------
# Which labels are missing depends on the seed. ROC AUC measures whether the images are
# ranked in the right order. Log loss measures whether the probabilities are right, too.
from skmtl.metrics import multitask_score

removed = [0, 50, 80, 90, 95]
rows = []
for seed in range(2):
    draw = np.random.default_rng(seed).random(Y_train.shape)
    for percent in removed:
        left = Y_train.mask(draw < percent / 100)
        for way, learn in WAYS.items():
            p = learn(left, seed)
            auc = multitask_score("roc_auc", Y_test, p)
            loss = -multitask_score("neg_log_loss", Y_test, p)
            rows.append((percent, way, auc, loss))
results = pd.DataFrame(rows, columns=["removed", "way", "ROC AUC", "log loss"])
results = results.groupby(["removed", "way"], sort=False).mean().unstack()
print(results.round(3).stack(0, future_stack=True).swaplevel().sort_index())

# %%
# What missing labels cost
# ------------------------
# Complete rows run out first. With half of the labels removed, one image in sixteen has
# all four labels; with 80 % removed, hardly any image does. ROC AUC is then 0.5, below
# the range of the left plot. Filling with 0 teaches the network that "no" is likely,
# and more so as more labels are missing. This spoils the probabilities long before it
# spoils the ranking.
import matplotlib.pyplot as plt

STYLES = ["o-", "s--", "v:", "^-."]
percent_left = [100 - percent for percent in removed]
figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, measure in zip(axes, ["ROC AUC", "log loss"], strict=True):
    for (way, curve), style in zip(results[measure].items(), STYLES, strict=True):
        ax.plot(percent_left, curve, style, label=way)
    ax.set(xlabel="observed labels, % (log scale)", ylabel=measure, xscale="log")
    ax.set_xticks(percent_left, map(str, percent_left))
    ax.minorticks_off()
    ax.invert_xaxis()
axes[0].set_ylim(0.85, 1.005)
axes[1].set_ylim(0, 1)
axes[0].legend()
plt.show()

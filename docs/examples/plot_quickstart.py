"""
==========================================================
Quickstart: one network for four tasks with missing labels
==========================================================

This example asks four questions about images of handwritten digits: which digit is it,
is it even, is it above four, and does it have a closed loop? As in most real tables,
many answers are missing: here, half of them. One network learns all four tasks from the
observed labels, inside a grid search. The example then compares this joint network with
a separate network for each task.
"""

# %%
# The data: a DataFrame with missing labels
# -----------------------------------------
# Each question is a column of ``Y``. The labels can be numbers, booleans or strings. A
# missing label is the missing value of the column's dtype, for example ``pd.NA``.
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

X, digit = load_digits(return_X_y=True, as_frame=True)
Y = pd.DataFrame(
    {
        "digit": digit.astype("Int64"),
        "is even": (digit % 2 == 0).astype("boolean"),
        "above four": (digit > 4).astype("boolean"),
        "loop": digit.isin([0, 6, 8, 9]).map({True: "closed", False: "open"}),
    }
)
X_train, X_test, Y_train, Y_test = train_test_split(
    X, Y, test_size=0.4, random_state=0, stratify=digit
)
unseen = np.random.default_rng(0).random(Y_train.shape) < 0.5
Y_train = Y_train.mask(unseen)
print(Y_train.head(), end="\n\n")

# %%
# A grid search, as with any classifier
# -------------------------------------
# Import ``GridSearchCV`` from ``skmtl.model_selection``, because that of scikit-learn
# raises an error if labels are missing. ``cv=3`` balances the labels of every task over
# the folds. The score is the accuracy on the observed labels, averaged over the tasks.
from sklearn.callback import ProgressBar

from skmtl import MultiTaskNetClassifier
from skmtl.model_selection import GridSearchCV

network = MultiTaskNetClassifier(n_members=1, max_iter=25, random_state=0)
search = GridSearchCV(network, {"head_hidden_layer_sizes": [(), (16,), (64,)]}, cv=3)
search.set_callbacks(ProgressBar(max_propagation_depth=0)).fit(X_train, Y_train)

columns = ["param_head_hidden_layer_sizes", "mean_test_score", "std_test_score"]
print(pd.DataFrame(search.cv_results_)[columns].round(3))

# %%
# One joint network or separate networks
# --------------------------------------
# ``sharing="none"`` gives each task its own network of the same size, trained for the
# same number of epochs on the same labels. Both are fitted with five random seeds. The
# trunk is large on purpose: joint training helps if the network is big enough for all
# tasks.


def test_accuracy(sharing):
    """Accuracy of each task on the test images, one row per seed."""
    model = search.best_estimator_
    rows = []
    for seed in range(5):
        model.set_params(sharing=sharing, random_state=seed)
        predicted = model.fit(X_train, Y_train).predict(X_test)
        rows.append((predicted == Y_test.to_numpy()).mean(axis=0))
    return np.array(rows, dtype=float)


joint, separate = test_accuracy("hard"), test_accuracy("none")
gain = joint - separate
table = pd.DataFrame(
    {
        "labels": Y_train.notna().sum(),
        "joint": joint.mean(axis=0),
        "separate": separate.mean(axis=0),
        "gain": gain.mean(axis=0),
        "std of gain": gain.std(axis=0, ddof=1),
    },
    index=Y.columns,
)
print(f"\nAccuracy on {len(X_test)} test images, mean of {len(joint)} seeds")
print(table.round(3))

# %%
# Predictions for new images
# --------------------------
# ``predict`` returns a label for every task, in the same form as in ``Y``.
import matplotlib.pyplot as plt

model = search.best_estimator_.set_params(sharing="hard")
predicted = model.fit(X_train, Y_train).predict(X_test)

figure, axes = plt.subplots(1, 5, figsize=(10, 3), layout="constrained")
for ax, pixels, labels in zip(axes, X_test.to_numpy(), predicted, strict=False):
    ax.imshow(pixels.reshape(8, 8), cmap="gray_r")
    ax.set_title(
        "\n".join(f"{n}: {v}" for n, v in zip(Y, labels, strict=True)), fontsize=9
    )
    ax.set_axis_off()
figure.savefig("quickstart.png")

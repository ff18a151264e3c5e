"""
=====================================
Grid search over trunk and head sizes
=====================================

How large should the trunk be, and how large the head of each task? `GridSearchCV` of
``skmtl.model_selection`` works like scikit-learn's, and also accepts missing labels.
"""

# %%
# The data are four questions about images of digits, with 70 % of the labels missing.
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits

X, digit = load_digits(return_X_y=True, as_frame=True)
Y = pd.DataFrame(
    {
        "even": digit % 2 == 0,
        "above four": digit > 4,
        "loop": digit.isin([0, 6, 8, 9]),
        "prime": digit.isin([2, 3, 5, 7]),
    },
    dtype=float,
)
Y = Y.mask(np.random.default_rng(0).random(Y.shape) < 0.7)

# %%
# The search
# ----------
# ``cv=3`` balances the labels of every task over the folds with
# `MultiTaskStratifiedKFold`. A name in ``scoring`` stands for the metric on the
# observed labels, averaged over the tasks, as in `multitask_scorer`. You can record
# several metrics at once; ``refit`` names the metric that selects the best candidate.
from skmtl import MultiTaskNetClassifier
from skmtl.model_selection import GridSearchCV

network = MultiTaskNetClassifier(n_members=1, max_iter=15, random_state=0)
heads = [(), (8,), (32,), (128,)]
trunks = [(16,), (64,), (256,)]
search = GridSearchCV(
    network,
    {"head_hidden_layer_sizes": heads, "hidden_layer_sizes": trunks},
    cv=3,
    scoring=["roc_auc", "neg_log_loss"],
    refit="roc_auc",
)
search.fit(X, Y)
print(search.best_params_)

# %%
# The results
# -----------
# The size of the trunk matters more than that of the heads: all questions are about the
# same strokes, and the trunk has to recognise them. With the largest trunk, linear
# heads are within a standard error of the best candidate, so the simplest choice is
# enough.
import matplotlib.pyplot as plt

table = pd.DataFrame(search.cv_results_)
error = table["std_test_roc_auc"].mean() / np.sqrt(3)
scores = table["mean_test_roc_auc"].to_numpy().reshape(len(heads), len(trunks))

figure, ax = plt.subplots(figsize=(5, 4), layout="constrained")
image = ax.imshow(scores, cmap="cividis", aspect="auto")
for (row, column), score in np.ndenumerate(scores):
    dark = score < (scores.min() + scores.max()) / 2
    ax.text(column, row, f"{score:.3f}", ha="center", color="w" if dark else "k")
ax.set(
    xlabel="hidden_layer_sizes (trunk)",
    ylabel="head_hidden_layer_sizes",
    title=f"ROC AUC, mean of 4 tasks (standard error {error:.3f})",
)
ax.set_xticks(range(len(trunks)), map(str, trunks))
ax.set_yticks(range(len(heads)), map(str, heads))
figure.colorbar(image)
plt.show()

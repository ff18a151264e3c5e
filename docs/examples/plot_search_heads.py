"""
================================================
Grid search over head sizes, with labels missing
================================================

How large should the head of each task be, and how large the trunk? `GridSearchCV` of
``skmtl.model_selection`` answers it as scikit-learn's does for any classifier, even
where labels are missing.
"""

# %%
# The data: four questions about pictures of digits, 70 % of the answers missing.
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
# ``cv=3`` balances the labels of every task over the folds, as
# `MultiTaskStratifiedKFold` does. A name in ``scoring`` means the metric of each task
# on the labels that are there, averaged over the tasks, as `multitask_scorer` computes
# it. Several metrics are recorded at once; ``refit`` says which of them chooses.
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
# What it found
# -------------
# The size of the trunk matters more than that of the heads: the questions are about the
# same strokes, which the trunk has to see. Beside the largest trunk, linear heads are
# within a standard error of the best, so that the simplest choice will do.
import matplotlib.pyplot as plt

table = pd.DataFrame(search.cv_results_)
error = table["std_test_roc_auc"].mean() / np.sqrt(3)
scores = table["mean_test_roc_auc"].to_numpy().reshape(len(heads), len(trunks))

figure, ax = plt.subplots(figsize=(5, 4), layout="constrained")
picture = ax.imshow(scores, cmap="cividis", aspect="auto")
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
figure.colorbar(picture)
plt.show()

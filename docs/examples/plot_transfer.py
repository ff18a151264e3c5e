"""
Transfer, joint training, or training from scratch
==================================================

Transfer learning trains on task A, which has many labels, and then on task B, which has
few. Multi-task learning trains on both at once. Transfer helps if A and B read the same
kind of input, if A has far more labels than B, and if the features learned from A are
useful for B. Here A consists of seven questions about a handwritten digit (is it a 0,
..., is it a 6?), with labels for all 1,078 digits. B asks whether the digit is an 8 or
a 9, and has from 10 to 1,000 labels.
"""

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, train_test_split

from skmtl import MultiTaskNetClassifier
from skmtl.model_selection import MultiTaskStratifiedKFold
from skmtl.trunks import UnfreezeAfter

X, digit = load_digits(return_X_y=True, as_frame=True)
A = pd.DataFrame({f"is {d}": (digit == d).astype(float) for d in range(7)})
B = digit.isin([8, 9]).astype(float).rename("is 8 or 9")

# %%
# Wrap the fitted network in scikit-learn's ``FrozenEstimator``, which ``clone`` and
# searches leave unchanged, and pass it as ``pretrained``. The new network copies its
# trunk and input layer; the heads are new. ``freeze`` sets which part of the trunk
# stays fixed: the whole trunk (``"trunk"``), or the whole trunk for the first epochs
# (``UnfreezeAfter``).


def ways(network, many, A_train, B_labelled, X):
    """Return four ways to predict B: estimators, and the data to fit them on."""
    transfer = clone(network).set_params(pretrained=FrozenEstimator(many))
    X_labelled = X.loc[B_labelled.index]
    together = A_train.assign(B=B_labelled)  # NaN where B has no label
    return {
        "from scratch": (clone(network), X_labelled, B_labelled),
        "trunk frozen": (
            clone(transfer).set_params(freeze="trunk"),
            X_labelled,
            B_labelled,
        ),
        "trunk frozen at first": (
            clone(transfer).set_params(freeze=UnfreezeAfter(25)),
            X_labelled,
            B_labelled,
        ),
        "A and B jointly": (clone(network), X.loc[A_train.index], together),
    }


results = []
for seed in range(3):
    train, test = train_test_split(
        X.index, test_size=0.4, random_state=seed, stratify=digit
    )
    network = MultiTaskNetClassifier(n_members=1, random_state=seed)
    many = clone(network).fit(X.loc[train], A.loc[train])
    for n_labels in (10, 30, 100, 300, 1000):
        labelled, _ = train_test_split(
            train, train_size=n_labels, random_state=seed, stratify=B[train]
        )
        for way, (estimator, X_fit, y_fit) in ways(
            network, many, A.loc[train], B[labelled], X
        ).items():
            p = estimator.fit(X_fit, y_fit).predict_proba(X.loc[test])[:, -1]
            auc = roc_auc_score(B[test], p)
            results.append({"labels of B": n_labels, "way": way, "ROC AUC": auc})

# %%
# How many labels does B need?
# ----------------------------
# With ten labels of B, the features learned from A are worth more than B's own labels.
# With a thousand labels, a network for B alone learns as much from scratch. As the
# labels increase, the frozen trunk is the first to fall behind, because it cannot learn
# what distinguishes an 8 from a 3. With joint training, you do not have to decide what
# to freeze, but you need the data of A each time that you train B.

table = pd.DataFrame(results).pivot_table(
    index="labels of B", columns="way", values="ROC AUC", sort=False
)
print(table.round(3))
axis = table.plot(logx=True, style=".-", figsize=(6, 4), ylabel="ROC AUC of B")
axis.figure.tight_layout()
plt.show()

# %%
# A grid search can choose among these settings, because ``clone`` keeps a frozen
# estimator fitted.

search = GridSearchCV(
    network,
    {"pretrained": [None, FrozenEstimator(many)], "freeze": ["none", "trunk", 1]},
    cv=MultiTaskStratifiedKFold(3, shuffle=True, random_state=0),
    scoring="roc_auc",
)
few, _ = train_test_split(train, train_size=100, random_state=0, stratify=B[train])
search.fit(X.loc[few], B[few])
found = pd.DataFrame(search.cv_results_)
found["pretrained"] = found["param_pretrained"].notna()
columns = ["pretrained", "param_freeze", "mean_test_score", "std_test_score"]
print(found[columns].round(3))

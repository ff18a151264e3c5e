"""
Learn A, then B: transfer, joint learning, or from scratch
==========================================================

Transfer learning is the serial cousin of multi-task learning: train on task A, which
has many labels, then go on with task B, which has few. The lecture's rule: it pays
where A and B read the same kind of input, where A has far more labels than B, and where
what A has learned of the input helps B. Here A asks seven questions about a handwritten
digit, is it a 0, ..., is it a 6?, and all of 1,078 digits are labelled. B asks whether
it is an 8 or a 9, and has from 10 to 1,000 labels.
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
# A fitted network goes into ``pretrained`` inside scikit-learn's ``FrozenEstimator``:
# ``clone`` and searches leave what it holds as it is. Its trunk and input layer are
# taken over, the heads are new. ``freeze`` says what of the trunk is trained: nothing
# of it ("trunk" is frozen), or all of it after some epochs.


def ways(network, many, A_train, B_labelled, X):
    """Four ways to predict B: estimator and what to fit it on."""
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
# The crossing
# ------------
# With ten labels, what A has learned is worth more than B's own labels; with a
# thousand, B knows as much from its own. A trunk that stays frozen is the first to be
# overtaken: it cannot learn what tells an 8 from a 3. Joint learning needs no decision
# what to freeze, but A's data each time that B is trained.

table = pd.DataFrame(results).pivot_table(
    index="labels of B", columns="way", values="ROC AUC", sort=False
)
print(table.round(3))
axis = table.plot(logx=True, style=".-", figsize=(6, 4), ylabel="ROC AUC of B")
axis.figure.tight_layout()
plt.show()

# %%
# All of it can be searched, since a frozen estimator survives ``clone``.

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

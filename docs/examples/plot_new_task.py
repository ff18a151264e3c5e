"""
Add a task to a fitted network
==============================

A network has learned seven questions about handwritten digits. Later, labels for an
eighth question arrive, but only for sixty of the images. ``add_tasks`` trains a head
for the new question on the existing trunk. The trunk and the old heads are not trained
again, so the predictions of the old tasks do not change.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.metrics import RocCurveDisplay, roc_auc_score
from sklearn.model_selection import train_test_split

from skmtl import MultiTaskNetClassifier

X, digit = load_digits(return_X_y=True, as_frame=True)
Y = pd.DataFrame({f"is {d}": (digit == d).astype(float) for d in range(7)})
Y = Y.mask(np.random.default_rng(0).random(Y.shape) < 0.5)
large = digit.isin([8, 9]).rename("is 8 or 9")
train, test = train_test_split(X.index, random_state=0, stratify=digit)

network = MultiTaskNetClassifier(random_state=0).fit(X.loc[train], Y.loc[train])
before = network.predict_proba(X)

# %%
# The name of the Series becomes the name of the new task. The new task comes last.

judged, _ = train_test_split(
    train, train_size=60, random_state=0, stratify=large[train]
)
network.add_tasks(X.loc[judged], large[judged])
print(network.task_names_)
after = network.predict_proba(X)
print("largest change of an old probability:", np.abs(after[:, :7] - before).max())

# %%
# For comparison, a network for this task alone learns only from the sixty images.

alone = MultiTaskNetClassifier(random_state=0).fit(X.loc[judged], large[judged])
added_auc = roc_auc_score(large[test], after[test, -1])
alone_auc = roc_auc_score(large[test], alone.predict_proba(X.loc[test])[:, 1])
print(f"ROC AUC on the shared trunk {added_auc:.3f}, alone {alone_auc:.3f}")

# %%
# The curves of the two on the test images:

ax = plt.figure(figsize=(4, 4)).add_subplot()
for name, p in [
    ("on the shared trunk", after[test, -1]),
    ("alone", alone.predict_proba(X.loc[test])[:, 1]),
]:
    RocCurveDisplay.from_predictions(large[test], p, name=name, ax=ax)
ax.set(title="New task with 60 labels", xlabel="false positive rate")
ax.set(ylabel="true positive rate")
plt.show()

# %%
# ``drop_tasks`` removes tasks. The others keep their order and their predictions.

network.drop_tasks(["is 0", "is 3"])
print(network.task_names_)
kept = [1, 2, 4, 5, 6, 7]
print("change:", np.abs(network.predict_proba(X) - after[:, kept]).max())

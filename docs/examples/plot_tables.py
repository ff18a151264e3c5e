"""
=====================
Pandas in, pandas out
=====================

442 patients with diabetes. A table with holes goes in as it is; out come tables with
the same rows and the same columns: a label and a probability for each hole, and a
report. The holes are made here: blood values that were never taken.
"""

# %%
# A table with holes
# ------------------
# The input: age, sex, body mass index and blood pressure, which is missing for some.
# The labels: how fast was the year's progression, and which blood values are high? Each
# patient had about half of the tests.
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes

patients, progression = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
patients.index = [f"patient {number}" for number in range(1, len(patients) + 1)]
progression.index = patients.index
rng = np.random.default_rng(0)

X = patients[["age", "sex", "bmi", "bp"]].copy()
X["sex"] = X["sex"].map({1.0: "a", 2.0: "b"}).astype("category")
X["bp"] = X["bp"].mask(rng.random(len(X)) < 0.2)

blood = patients.rename(
    columns={"s2": "ldl", "s3": "hdl", "s5": "triglycerides", "s6": "glucose"}
)[["ldl", "hdl", "triglycerides", "glucose"]]
Y = (blood > blood.median()).replace({True: "high", False: "low"}).astype("string")
Y.insert(0, "progression", pd.qcut(progression, 3, labels=["slow", "middle", "fast"]))
Y = Y.mask(rng.random(Y.shape) < 0.5)
print(X.head(), Y.head(), sep="\n\n")

# %%
# Which labels are there?
# -----------------------
from skmtl.inspection import label_report

print(label_report(Y))

# %%
# Fit, and how good is it?
# ------------------------
# Each patient is predicted by a network that never saw them. The tasks have three
# classes and two; probabilities are then a list of arrays, and ``classes`` says whose
# columns they are.
from skmtl import MultiTaskNetClassifier
from skmtl.metrics import multitask_report
from skmtl.model_selection import MultiTaskStratifiedKFold, cross_val_predict

network = MultiTaskNetClassifier((64,), max_iter=60, random_state=0)
folds = MultiTaskStratifiedKFold(5, shuffle=True, random_state=0)
p = cross_val_predict(network, X, Y, cv=folds, method="predict_proba")
network.fit(X, Y)
report = multitask_report(Y, p, classes=network.classes_)
print(report.round(2).to_string())

# %%
# Every hole filled
# -----------------
# Labels that are known stay as they are; the others are the network's.
predicted = pd.DataFrame(network.predict(X), Y.index, Y.columns)
print(Y.astype(object).fillna(predicted).head())

# %%
# How sure is it? The probability of the likeliest label as a table of the same form,
# and for ten patients as a picture, with the labels in their own words. Bold ones were
# there.
probabilities = network.predict_proba(X)
sure = pd.DataFrame(
    np.column_stack([task.max(axis=1) for task in probabilities]), Y.index, Y.columns
)
print(sure.head().round(2))

import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
picture = ax.imshow(sure[:10], cmap="Blues", alpha=0.6, vmin=0, vmax=1, aspect="auto")
for row, patient in enumerate(Y.index[:10]):
    for column, task in enumerate(Y):
        known = pd.notna(Y.loc[patient, task])
        ax.text(
            column,
            row,
            Y.loc[patient, task] if known else predicted.loc[patient, task],
            weight="bold" if known else "normal",
            ha="center",
            va="center",
        )
ax.set_xticks(range(len(Y.columns)), Y.columns)
ax.set_yticks(range(10), Y.index[:10])
figure.colorbar(picture, label="probability of the likeliest label")
plt.show()

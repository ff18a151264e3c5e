"""
=====================
Pandas in, pandas out
=====================

This example fits a network on a raw table of 442 patients with diabetes. It turns the
predictions into DataFrames with the rows and columns of the table, which give a label
and a probability for each missing label, and prints a report. The data set is complete,
so the example removes half of the labels, as if these tests had never been made.
"""

# %%
# A table with missing labels
# ---------------------------
# The input ``X`` has age, sex, body mass index and blood pressure, which is missing for
# some patients. The labels in ``Y`` say how fast the disease progressed within a year
# and which blood values are high. Each patient had about half of the tests.
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
# Which labels are observed?
# --------------------------
from skmtl.inspection import label_report

print(label_report(Y))

# %%
# Cross-validate and fit
# ----------------------
# In cross-validation, each patient is predicted by a network that was not fitted on
# them. One task has three classes and the others have two, so the probabilities are a
# list of arrays. ``classes`` tells the report which classes their columns are.
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
# Fill in the missing labels
# --------------------------
# Observed labels stay as they are. The network predicts the others.
predicted = pd.DataFrame(network.predict(X), Y.index, Y.columns)
print(Y.astype(object).fillna(predicted).head())

# %%
# How certain are the predictions? The next table shows the probability of the most
# likely label. The plot shows this probability for ten patients, together with the
# labels; observed labels are in bold.
probabilities = network.predict_proba(X)
sure = pd.DataFrame(
    np.column_stack([task.max(axis=1) for task in probabilities]), Y.index, Y.columns
)
print(sure.head().round(2))

import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
image = ax.imshow(sure[:10], cmap="Blues", alpha=0.6, vmin=0, vmax=1, aspect="auto")
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
figure.colorbar(image, label="probability of the most likely label")
plt.show()

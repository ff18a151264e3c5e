"""
=============================================
Use scikit-learn's displays for a single task
=============================================

scikit-learn has many tools to inspect a classifier, but they need a single target
without missing labels. ``task_view`` returns one task of a fitted estimator as an
ordinary classifier, and ``observed_rows`` selects the rows with a label of that task.
Here one network predicts which blood values of 442 patients with diabetes are high.
"""

# %%
# Five tasks, half of the labels missing
# --------------------------------------
# Each task asks whether a blood value is above the median of all patients. Each patient
# had about half of the tests.
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes

from skmtl import MultiTaskNetClassifier
from skmtl.model_selection import multitask_train_test_split

patients, _ = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
X = patients[["age", "sex", "bmi", "bp"]]
blood = patients[["s1", "s2", "s3", "s5", "s6"]]
blood.columns = ["cholesterol", "ldl", "hdl", "triglycerides", "glucose"]
Y = (blood > blood.median()).astype(float)
Y = Y.mask(np.random.default_rng(0).random(Y.shape) < 0.5)
X_train, X_test, Y_train, Y_test = multitask_train_test_split(
    X, Y, test_size=0.4, random_state=0
)
network = MultiTaskNetClassifier((64,), max_iter=60, random_state=0)
network.fit(X_train, Y_train)

# %%
# All tasks in one plot
# ---------------------
# ``task_views`` returns a dict with a view of each task. By default, scikit-learn's
# displays label a curve with the class of its estimator; ``name`` labels it with the
# task.
import matplotlib.pyplot as plt
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import RocCurveDisplay

from skmtl import observed_rows, task_view, task_views

figure, axes = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
for name, view in task_views(network).items():
    X_task, y_task = observed_rows(X_test, Y_test, name)
    RocCurveDisplay.from_estimator(view, X_task, y_task, name=name, ax=axes[0])
    CalibrationDisplay.from_estimator(
        view, X_task, y_task, name=name, n_bins=4, strategy="quantile", ax=axes[1]
    )
axes[0].set_title("ROC curves")
axes[1].set_title("Calibration curves")

# %%
# Which columns matter for triglycerides?
# ---------------------------------------
# Permutation importance shuffles one column at a time, and measures how far the
# accuracy of this task falls.
from sklearn.inspection import PartialDependenceDisplay, permutation_importance

view = task_view(network, "triglycerides")
X_task, y_task = observed_rows(X_test, Y_test, "triglycerides")
importance = permutation_importance(view, X_task, y_task, n_repeats=20, random_state=0)
print(
    pd.DataFrame(
        {"fall": importance.importances_mean, "std": importance.importances_std},
        index=X.columns,
    ).round(3)
)

# %%
# Partial dependence shows how the probability depends on a column. It sets the column
# to the same value for all patients, and averages the predictions.
figure, axes = plt.subplots(1, 3, figsize=(10, 4), layout="constrained")
PartialDependenceDisplay.from_estimator(view, X_task, ["bmi", "bp", "age"], ax=axes)
figure.suptitle("Probability of high triglycerides")
plt.show()

"""
Pictures with several objects, most labels missing
==================================================

The picture of the lecture on multi-task learning: one network looks at a scene and
answers several questions at once, and for most pictures most answers were never
written down. The scenes are made of scikit-learn's handwritten digits, two on a canvas
of 16 x 16. Four kinds of things are asked for, and a digit can be of several kinds, as
a thing on the road can be a vehicle and red:

- does the scene show a digit with a loop (0, 6, 8, 9)?
- an even digit?
- a digit of at least 5?
- a prime (2, 3, 5, 7)?

Three of four labels are missing. Three ways to learn from the rest:

1. **jointly**: one convolutional trunk, a head for each question;
2. **separately**: four networks of the same size, one for each question, with half the
   epochs, so that the four together take twice as long as the joint one;
3. **a softmax**: one network that must pick one answer per picture.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits

from skmtl import MultiTaskNetClassifier
from skmtl.metrics import multitask_score
from skmtl.trunks import ConvTrunk

KINDS = {
    "loop": [0, 6, 8, 9],
    "even": [0, 2, 4, 6, 8],
    "at least 5": [5, 6, 7, 8, 9],
    "prime": [2, 3, 5, 7],
}
digits, digit = load_digits(return_X_y=True)
digits = (digits * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
is_kind = np.column_stack([np.isin(digit, members) for members in KINDS.values()])


def make_scenes(n_scenes, pool, rng):
    """(n, 1, 16, 16) bytes, two digits of the pool each, and a table of 0 and 1."""
    X = np.zeros((n_scenes, 1, 16, 16), np.uint8)
    Y = np.zeros((n_scenes, len(KINDS)))
    for scene, answers in zip(X, Y, strict=True):
        cells = rng.permutation(4)[:2]
        for cell, chosen in zip(cells, rng.choice(pool, 2), strict=True):
            row, column = 8 * (cell // 2), 8 * (cell % 2)
            scene[0, row : row + 8, column : column + 8] = digits[chosen]
            answers[is_kind[chosen]] = 1
    return X, pd.DataFrame(Y, columns=list(KINDS))


# %%
# No digit of the test scenes occurs in a training scene. NaN is a label that nobody
# wrote down.

rng = np.random.default_rng(0)
train, test = np.arange(1200), np.arange(1200, len(digits))
X, Y = make_scenes(800, train, rng)
Y = Y.mask(rng.random(Y.shape) < 0.75)

figure, axes = plt.subplots(1, 5, figsize=(10, 2.6))
for axis, picture, answers in zip(axes, X[:, 0], Y.to_numpy(), strict=False):
    axis.imshow(picture, cmap="gray_r")
    known = [
        f"{'' if answer else 'no '}{kind}"
        for kind, answer in zip(KINDS, answers, strict=True)
        if not np.isnan(answer)
    ]
    axis.set(title="\n".join(known) or "?", xticks=[], yticks=[])
figure.tight_layout()

# %%
# A picture goes in as it is, four axes of bytes. `ConvTrunk` is the shared part;
# `sharing="none"` gives each question a trunk of its own, all trained in one pass.


def network(seed, sharing="hard", n_epochs=60):
    return MultiTaskNetClassifier(
        trunk=ConvTrunk((16, 32, 64), dropout=0.5),
        sharing=sharing,
        n_members=1,
        batch_size=50,
        learning_rate_init=0.02,
        max_iter=n_epochs,
        random_state=seed,
    )


def one_answer(Y, rng):
    """What a softmax learns from: one of the known kinds, "none" if none is known."""
    picked = Y.apply(
        lambda row: rng.choice(row.index[row == 1]) if (row == 1).any() else "none",
        axis=1,
    )
    return picked.where(Y.notna().any(axis=1))


def compare(seed):
    """Mean ROC AUC of the three ways on one draw of scenes."""
    rng = np.random.default_rng(seed)
    X, Y = make_scenes(800, train, rng)
    Y = Y.mask(rng.random(Y.shape) < 0.75)
    X_test, Y_test = make_scenes(500, test, rng)
    joint = network(seed).fit(X, Y)
    separate = network(seed, "none", n_epochs=30).fit(X, Y)
    softmax = network(seed, n_epochs=30).fit(X, one_answer(Y, rng))
    columns = [list(softmax.classes_).index(kind) for kind in KINDS]
    p = {
        "joint": joint.predict_proba(X_test),
        "separate": separate.predict_proba(X_test),
        "softmax": softmax.predict_proba(X_test)[:, columns],
    }
    return {way: multitask_score("roc_auc", Y_test, table) for way, table in p.items()}


results = pd.DataFrame([compare(seed) for seed in range(3)])
print(results.round(3))
gain = results["joint"] - results["separate"]
print(f"joint - separate: {gain.mean():.3f}, standard deviation {gain.std():.3f}")

# %%
# The joint network wins: the questions are about the same strokes, and each label,
# whatever it answers, teaches the one trunk about them. The softmax loses because its
# answers exclude one another, where a digit with a loop may well be even.

figure, axis = plt.subplots(figsize=(5, 3))
axis.plot(results.T, ".-", color="tab:blue", alpha=0.5)
axis.set(ylabel="mean ROC AUC")
figure.tight_layout()

# %%
# It costs patience. In one step the joint trunk goes where the mean of four questions
# pulls it, a separate one straight after its own: after 20 epochs each, neither is
# ahead.

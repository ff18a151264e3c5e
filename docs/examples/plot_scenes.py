"""
Images with several objects and many missing labels
===================================================

One network looks at a scene and answers several questions at once, although most labels
of most scenes are missing: this is the classic example of multi-task learning. The
scenes are made from scikit-learn's handwritten digits, two on a canvas of 16 x 16
pixels. There are four questions. A digit can belong to several of them, in the same way
as an object on the road can be both a vehicle and red:

- Does the scene show a digit with a loop (0, 6, 8, 9)?
- Does it show an even digit?
- Does it show a digit of at least 5?
- Does it show a prime (2, 3, 5, 7)?

Three quarters of the labels are missing. The example compares three ways to learn from
the rest:

1. **joint**: one convolutional trunk with a head for each question;
2. **separate**: four networks of the same size, one for each question, with half the
   epochs, so that the four together take twice as long as the joint network;
3. **softmax**: one network that must choose one answer per image.
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
    """Make (n, 1, 16, 16) bytes with two digits of the pool each, and their labels."""
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
# The test scenes contain other digits than the training scenes. NaN marks a missing
# label.

rng = np.random.default_rng(0)
train, test = np.arange(1200), np.arange(1200, len(digits))
X, Y = make_scenes(800, train, rng)
Y = Y.mask(rng.random(Y.shape) < 0.75)

figure, axes = plt.subplots(1, 5, figsize=(10, 2.6))
for axis, image, answers in zip(axes, X[:, 0], Y.to_numpy(), strict=False):
    axis.imshow(image, cmap="gray_r")
    known = [
        f"{'' if answer else 'no '}{kind}"
        for kind, answer in zip(KINDS, answers, strict=True)
        if not np.isnan(answer)
    ]
    axis.set(title="\n".join(known) or "?", xticks=[], yticks=[])
figure.tight_layout()

# %%
# Pass images as an array with four axes (here, of bytes). `ConvTrunk` is the shared
# trunk. `sharing="none"` gives each question its own trunk, and trains all of these
# networks in one pass.


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
    """Choose one of the observed kinds for a softmax, or "none" if there is none."""
    picked = Y.apply(
        lambda row: rng.choice(row.index[row == 1]) if (row == 1).any() else "none",
        axis=1,
    )
    return picked.where(Y.notna().any(axis=1))


def compare(seed):
    """Return the mean ROC AUC of the three ways on one draw of scenes."""
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
# The joint network is best: all questions are about the same strokes, and the labels of
# every question train the shared trunk to recognise them. The softmax is worst, because
# its answers exclude one another, although a digit with a loop can be even.

figure, axis = plt.subplots(figsize=(5, 3))
axis.plot(results.T, ".-", color="tab:blue", alpha=0.5)
axis.set(ylabel="mean ROC AUC")
figure.tight_layout()

# %%
# The joint network needs more epochs, because each step moves its trunk in the mean
# direction of the four questions. In a separate network, each step moves the trunk in
# the direction of its only question. After 20 epochs each, neither is ahead.

"""A fit on Parquet files, block by block, and fits on the same rows in memory.

Run ``python docs/benchmarks/bench_scale.py stream FOLDER``, then the same with
``memory`` and with ``chunks``, each in its own process. The first run writes 40 files
of 50,000 rows each into the folder (600 MB), and one more file to test on. The rows
have 50 float32 numbers and five binary tasks that depend on all of them; half of the
labels are missing.

`stream` fits on the dataset, `memory` on one array of all rows, and `chunks` calls
`partial_fit` on one file at a time. Each prints its wall and CPU seconds, its peak
memory above that after the imports, and the ROC AUC of each task. Everything runs on
one thread.
"""

import argparse
import os
import threading
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import torch

from skmtl import MultiTaskNetClassifier
from skmtl.metrics import multitask_score

FEATURES = [f"x{j}" for j in range(50)]
TASKS = [f"task{t}" for t in range(5)]


def rows_of(file, n_rows):
    """Make X and Y of a file: tasks mix the tanh of 24 mixtures of the columns."""
    rule, rng = np.random.default_rng(0), np.random.default_rng([1, file])
    mixtures = rule.normal(size=(50, 24)) * 2 / np.sqrt(50)
    shifts, weights = rule.normal(size=24), rule.normal(size=(24, 5))
    X = rng.normal(size=(n_rows, 50)).astype(np.float32)
    logits = np.tanh(X @ mixtures + shifts) @ weights
    logits = 2.5 * (logits - logits.mean(0)) / logits.std(0)
    Y = (rng.random((n_rows, 5)) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    Y[rng.random(Y.shape) < 0.5] = np.nan
    return X, Y


def write(folder, n_files, n_rows):
    """Write the training files into `train`, and one file to test on."""
    (folder / "train").mkdir(parents=True)
    for file in range(n_files + 1):
        X, Y = rows_of(file, n_rows)
        columns = dict(zip(FEATURES, X.T, strict=True))
        for name, y in zip(TASKS, Y.T, strict=True):
            columns[name] = pa.array(y, from_pandas=True).cast(pa.int8())
        path = folder / "train" / f"{file:03}.parquet"
        if file == n_files:
            path = folder / "test.parquet"
        pq.write_table(pa.table(columns), path)


def read(path):
    """Read X and Y as arrays."""
    table = pq.read_table(path)
    X = np.column_stack([table[name].to_numpy() for name in FEATURES])
    return X, np.column_stack([table[name].to_numpy() for name in TASKS])


class Memory:
    """Watch the memory of this process every 20 ms."""

    def __init__(self):
        self.before = self.peak = self.now()
        threading.Thread(target=self._watch, daemon=True).start()

    @staticmethod
    def now():
        """Return the resident memory in MiB."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def _watch(self):
        while True:
            self.peak = max(self.peak, self.now())
            time.sleep(0.02)


def fit_chunks(clf, files, n_passes, n_rows):
    """Call partial_fit on one file at a time, in a new order in each pass."""
    rng = np.random.default_rng(0)
    for _ in range(n_passes):
        for i in rng.permutation(len(files)):
            X, Y = read(files[i])
            clf.partial_fit(
                X,
                Y,
                classes=[[0, 1]] * len(TASKS),
                n_calls=n_passes * len(files),
                n_rows=n_rows * len(files),
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("how", choices=["stream", "memory", "chunks"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--rows", type=int, default=50_000, help="rows of each file")
    parser.add_argument(
        "--epochs", type=int, help="epochs or passes; by default fit chooses"
    )
    parser.add_argument("--members", type=int)
    given = parser.parse_args()
    if not given.folder.exists():
        write(given.folder, given.files, given.rows)
    torch.set_num_threads(1)
    files = sorted((given.folder / "train").iterdir())
    clf = MultiTaskNetClassifier(
        random_state=0,
        max_iter=given.epochs or "auto",
        n_members=given.members or "auto",
    )
    clf.fit(np.zeros((4, 1)), [0, 1, 0, 1])  # loads what the first fit needs
    memory, wall, cpu = Memory(), time.perf_counter(), time.process_time()
    if given.how == "stream":
        clf.fit(ds.dataset(files), TASKS)
    elif given.how == "memory":
        clf.fit(*read(files))
    else:
        fresh = MultiTaskNetClassifier(random_state=0, n_members=clf.n_members)
        fit_chunks(clf := fresh, files, given.epochs or 1, given.rows)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    X, Y = read(given.folder / "test.parquet")
    if given.how == "stream":
        X = pa.table(dict(zip(FEATURES, X.T, strict=True)))
    scores = multitask_score("roc_auc", Y, clf.predict_proba(X), average=None)
    print(
        f"{given.how}: {wall:.0f} s wall, {cpu:.0f} s CPU, "
        f"{memory.peak - memory.before:.0f} MiB at the peak, {clf.n_iter_} epochs or "
        f"calls, {clf.network_.n_members} members, AUC {np.mean(scores):.5f} "
        f"{np.round(scores, 4).tolist()}"
    )


if __name__ == "__main__":
    main()

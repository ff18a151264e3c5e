"""Peak memory of a fit on two million rows, in memory and in a mapped file.

Each case runs in its own process. Only the anonymous memory of the process counts
(RssAnon on Linux), since the system can drop the pages of a mapped file at any time.
"""

import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch

from skmtl import MultiTaskNetClassifier

N_ROWS, N_FEATURES, N_TASKS = 2_000_000, 100, 50
CASES = ["memory", "mapped file"]


def anonymous_memory():
    """Return the anonymous memory of this process in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


class Peak:
    """Record the highest memory use while the block runs."""

    def __enter__(self):
        self.mib, self.is_over = 0.0, False
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while not self.is_over:
            self.mib = max(self.mib, anonymous_memory())
            time.sleep(0.002)

    def __exit__(self, *_):
        self.is_over = True
        self.thread.join()


def fill(X, Y):
    rng = np.random.default_rng(0)
    for start in range(0, N_ROWS, 10_000):
        rows = slice(start, start + 10_000)
        X[rows] = rng.standard_normal(X[rows].shape, dtype=np.float32)
        Y[rows] = X[rows, :N_TASKS] > 0
        Y[rows][rng.random(Y[rows].shape) < 0.5] = np.nan


def run(case):
    clf = MultiTaskNetClassifier((64,), n_members=1, max_iter=1, random_state=0)
    clf.fit(np.eye(20), np.eye(20)[:, :2])  # so that late imports do not count
    imports = anonymous_memory()
    with tempfile.TemporaryDirectory() as folder:
        shape = N_ROWS, N_FEATURES
        if case == "memory":
            X = np.empty(shape, np.float32)
        else:
            X = np.memmap(Path(folder) / "X", np.float32, "w+", shape=shape)
        Y = np.empty((N_ROWS, N_TASKS), np.float32)
        fill(X, Y)
        given = (Y.nbytes + (X.nbytes if case == "memory" else 0)) / 2**20
        start = time.perf_counter()
        with Peak() as peak:
            clf.fit(X, Y)
        seconds = time.perf_counter() - start
    above = peak.mib - imports
    whole = (X.nbytes + Y.nbytes) / 2**20
    print(
        f"| {case} | {given:.0f} | {above:.0f} | {above - given:.0f} | "
        f"{above / whole:.2f} | {seconds:.0f} |",
        flush=True,
    )


def main():
    print(
        f"{N_ROWS:,} x {N_FEATURES} float32, {N_TASKS} tasks, one epoch; "
        f"{platform.platform()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads\n"
    )
    columns = ["X in", "X and y in memory, MiB", "peak above the imports, MiB"]
    columns += ["beyond X and y, MiB", "peak / (X + y)", "seconds"]
    print(f"| {' | '.join(columns)} |\n|---{'|---:' * 5}|", flush=True)
    for case in CASES:
        subprocess.run([sys.executable, __file__, case], check=True)


if __name__ == "__main__":
    run(sys.argv[1]) if len(sys.argv) > 1 else main()

"""Fits on one and on two threads, on an idle and on a busy machine.

    python docs/benchmarks/bench_threads.py

Each fit runs in a process of its own. On the busy machine, an endless loop runs for
each of two cores. The script needs the extra `bench` and an otherwise idle machine with
two cores.
"""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import time
from hashlib import sha256

import torch
from _data import made

from skmtl import MultiTaskNetClassifier

# Rows and settings of each fit.
FITS = {
    "two members": (40_000, {}),
    "separate networks": (4_500, {"sharing": "none", "n_members": 1, "max_iter": 5}),
}
N_LOOPS = 2


def fit(name):
    """Fit in this process; print seconds, CPU seconds and the hash of the weights."""
    n_rows, settings = FITS[name]
    X, Y, _ = made(n_rows)
    clf = MultiTaskNetClassifier(random_state=0, **settings)
    wall, cpu = time.perf_counter(), time.process_time()
    clf.fit(X, Y)
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    weights = sha256()
    for parameter in clf.network_.parameters():
        weights.update(parameter.detach().numpy().tobytes())
    print(json.dumps([*seconds, weights.hexdigest()]))


def measure(name, n_threads):
    """Fit in a process with this number of threads."""
    done = subprocess.run(
        [sys.executable, __file__, "--fit", name],
        env=os.environ | {"OMP_NUM_THREADS": str(n_threads)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@contextlib.contextmanager
def busy(n_loops):
    """Run endless loops in other processes."""
    command = [sys.executable, "-c", "while True: pass"]
    loops = [subprocess.Popen(command) for _ in range(n_loops)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fit", choices=FITS, help="only fit, in this process")
    options = parser.parse_args()
    if options.fit:
        fit(options.fit)
        return
    print(f"{platform.machine()}, torch {torch.__version__}")
    for name in FITS:
        results = {}
        for n_loops in (0, N_LOOPS):
            with busy(n_loops):
                for n_threads in (1, 2):
                    results[n_loops, n_threads] = measure(name, n_threads)
        report(name, results)


def report(name, results):
    n_rows, settings = FITS[name]
    print(f"\n{name}: {n_rows} rows, {settings}")
    for (n_loops, n_threads), (wall, cpu, _) in results.items():
        print(f"{n_loops} loops, {n_threads} threads: {wall:.1f} s, CPU {cpu:.1f} s")
    alone, idle = results[0, 1], results[0, 2]
    alone_beside, beside = results[N_LOOPS, 1], results[N_LOOPS, 2]
    n_results = len({weights for *_, weights in results.values()})
    print(f"idle: two threads are {alone[0] / idle[0]:.2f} times as fast as one")
    print(f"two threads: busy / idle, wall: {beside[0] / idle[0]:.2f}")
    print(f"busy: two threads / one, CPU: {beside[1] / alone_beside[1]:.2f}")
    print(f"weights: {'the same' if n_results == 1 else 'DIFFERENT'}")


if __name__ == "__main__":
    main()

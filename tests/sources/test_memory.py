"""Memory is bounded by a block, and not by the rows."""

import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.slow
N_BLOCKS, BLOCK, N_FEATURES = 40, 50_000, 50  # 400 MB of float32

READ = """
import resource, sys
import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet
import skmtl
from skmtl._sources import as_source

def peak():
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage / (2**20 if sys.platform == "darwin" else 2**10)

folder, path = sys.argv[1:]
dataset = ds.dataset(folder)
rng = np.random.default_rng(0)
X = rng.normal(size=(2_000, 50)).astype(np.float32)
clf = skmtl.MultiTaskNetClassifier((8,), max_iter=1, n_members=1, random_state=0)
clf.fit(X, (X[:, :2] > 0).astype(float))
n_rows = 0
before = peak()
for part in as_source(dataset, ["y0", "y1"]).parts():
    n_rows += part.n_rows
reading = peak() - before
skmtl.write_predictions(clf, dataset.replace_schema(
    dataset.schema.remove(51).remove(50)), path)
print(n_rows, reading, peak() - before)
"""


@pytest.fixture
def folder(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("resource")
    rng = np.random.default_rng(0)
    columns = list(rng.normal(size=(N_FEATURES, BLOCK)).astype(np.float32))
    labels = [pa.array(rng.integers(0, 2, BLOCK).astype(float)) for _ in range(2)]
    names = [f"f{j}" for j in range(N_FEATURES)] + ["y0", "y1"]
    block = pa.table([*columns, *labels], names)
    path = tmp_path / "data"
    path.mkdir()
    for number in range(4):
        with pq.ParquetWriter(path / f"{number}.parquet", block.schema) as writer:
            for _ in range(N_BLOCKS // 4):
                writer.write_table(block)
    return path


def test_400_mb_are_read_and_predicted_in_a_fraction_of_that(folder, tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", READ, folder, tmp_path / "p.csv"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    n_rows, reading, predicting = map(float, done.stdout.split())
    assert n_rows == N_BLOCKS * BLOCK
    assert reading < 100, f"{reading} MiB"
    assert predicting < 200, f"{predicting} MiB"

"""Searches on dask and ray, and tables scored on Spark: several processes each."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

from skmtl import MultiTaskNetClassifier

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "user_guide" / "scale.md"
ENGINES = ["dask", "ray"]
SECONDS = 180  # a script ends after 20 of them; on a busy machine it takes longer


def shown(name):
    """The file of this name that the page shows."""
    return re.search(rf"```python\n(# {name}\n.*?)```", PAGE.read_text(), re.S)[1]


def run(*command):
    """What a script prints that has as many threads as it likes."""
    environment = os.environ | {
        "RAY_AUTH_MODE": "disabled",  # or it writes a file into the home folder
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    environment.pop("OMP_NUM_THREADS", None)
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("engine", ENGINES)
def test_the_program_of_the_page_gives_what_it_gives_in_turn(engine, tmp_path):
    program = shown(f"search_on_{engine}.py")
    path = tmp_path / "search.py"
    path.write_text(program)
    in_turn = re.sub(r"^    with .*:$", "    if True:", program, flags=re.M)
    assert in_turn != program
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(in_turn, PAGE, "exec"), {"__name__": "__main__"})
    # ray's own lines come before it.
    assert run(path).splitlines()[-1] == printed.getvalue().strip()


@pytest.fixture(scope="module", params=ENGINES)
def found(request):
    """The main process, and the results in turn and on a cluster."""
    return json.loads(
        run(ROOT / "tests" / "_clusters.py", request.param).splitlines()[-1]
    )


def test_searches_on_a_cluster_give_what_they_give_in_turn(found):
    _, in_turn, on_cluster = found
    for name, results in in_turn.items():
        if name == "validation":
            accuracy = results["test_accuracy"]
            assert on_cluster[name]["test_accuracy"] == accuracy
        else:
            assert on_cluster[name] == results


def test_a_worker_has_one_thread_and_a_fit_takes_no_more(found):
    main_process, _, on_cluster = found
    result = on_cluster["validation"]
    assert main_process not in result["test_process"]
    assert set(result["test_torch"]) == {1}
    assert set(result["test_more"]) == {0}


# Spark --------------------------------------------------------------------------------


def test_spark_gives_the_probabilities_of_the_whole_table(tmp_path):
    pytest.importorskip("pyspark", reason="pyspark is not installed")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs a JVM: no java on the PATH, and no JAVA_HOME")
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(500, 3)), columns=["age", "dose", "weight"])
    table["ward"] = rng.choice(["north", "south", "west"], 500)
    table.loc[::7, "dose"] = np.nan
    table.assign(visit=np.arange(500)).to_parquet(tmp_path / "table.parquet")
    X = table[:100].astype({"ward": "category"})
    Y = pd.DataFrame({"fever": X["age"] > 0, "back pain": X["ward"] == "west"})
    model = MultiTaskNetClassifier(max_iter=3, random_state=0).fit(X, Y)
    joblib.dump(model, tmp_path / "model.joblib")
    path = tmp_path / "score.py"
    path.write_text(shown("score_on_spark.py") + SPARK)
    run(path, tmp_path)
    scores = pd.read_parquet(tmp_path / "scores").sort_values("visit")
    expected = model.predict_proba(table)
    np.testing.assert_array_equal(scores[["fever", "back pain"]], expected)
    np.testing.assert_array_equal(scores["visit"], np.arange(500))


# Batches of 64 rows, and two workers with one thread each.
SPARK = """
import sys

import joblib
from pyspark.sql import SparkSession

settings = {
    "spark.ui.enabled": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "64",
    "spark.sql.files.maxPartitionBytes": "4096",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}
spark = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
table = spark.read.parquet(sys.argv[1] + "/table.parquet")
model = joblib.load(sys.argv[1] + "/model.joblib")
score_on_spark(table, model, "visit").write.parquet(sys.argv[1] + "/scores")
spark.stop()
"""

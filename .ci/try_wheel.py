"""Try the archives of `python -m build` as users get them: `.ci/try_wheel.py dist`.

Checks that the archives have exactly the right files, and that the wheel works in a
separate environment, first without extras and then with them.
"""

import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WITHOUT_EXTRAS = """
import sys
import numpy as np
import skmtl

assert "torch" not in sys.modules
X, Y = skmtl.datasets.make_multitask_classification(
    n_samples=200, n_tasks=3, missing_rate=0.3, random_state=0
)
clf = skmtl.MultiTaskNetClassifier(max_iter=5, n_members=1, random_state=0).fit(X, Y)
assert clf.predict(X).shape == Y.shape
skmtl.save(clf, "model.skmtl")
assert (skmtl.load("model.skmtl").predict_proba(X) == clf.predict_proba(X)).all()

try:
    skmtl.to_onnx(clf, "model.onnx")
except ImportError as error:
    assert "skmtl[onnx]" in str(error)
else:
    raise AssertionError("to_onnx must raise ImportError without its extra")

table = np.c_[np.arange(len(X)), X[:, :4], Y]
names = "id,a,b,c,d,tox 1,tox 2,tox 3"
np.savetxt("train.csv", table, "%.4g", ",", header=names, comments="")
"""
WITH_EXTRAS = """
import skmtl

X, Y = skmtl.datasets.make_multitask_classification(
    n_samples=200, n_tasks=3, missing_rate=0.3, random_state=0
)
clf = skmtl.load("model.skmtl")
skmtl.report(clf, X, Y, "prefit.html", cv="prefit")
skmtl.to_onnx(clf, "model.onnx")
"""
COMMANDS = """
fit train.csv --tasks tox* --id id --set max_iter=5 --out tox.skmtl
predict tox.skmtl train.csv --out predictions.csv
evaluate tox.skmtl train.csv
report train.csv --model tox.skmtl --out report.html
"""


def check_archives(folder: Path) -> Path:
    """Compare both archives with the files of the repository; return the wheel."""
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    listed = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True)
    tracked = set(listed.splitlines())
    with tarfile.open(sdist) as archive:
        # Without the name of the top folder in the archive.
        names = {name.partition("/")[2] for name in archive.getnames()}
    meant = {name for name in tracked if not name.startswith((".ci/", ".github/"))}
    compare(sdist, names, meant | {"PKG-INFO"})
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    compare(wheel, names, {name for name in tracked if name.startswith("skmtl/")})
    return wheel


def compare(archive: Path, names: set[str], meant: set[str]) -> None:
    """Exit with the missing and the superfluous names, if the names differ."""
    if names != meant:
        raise SystemExit(
            f"{archive.name} lacks {sorted(meant - names)}\n"
            f"and should not have {sorted(names - meant)}."
        )
    print(f"{archive.name}: {len(names)} files, as expected")


def try_wheel(wheel: Path, folder: Path) -> None:
    """Install the wheel in a folder, and use it there."""
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")

    def run(program: str, *arguments: str, code: int = 0) -> None:
        shown = [argument for argument in arguments if "\n" not in argument]
        print("+", program, *shown, flush=True)
        done = subprocess.run([str(programs / program), *arguments], cwd=folder)
        if done.returncode != code:
            raise SystemExit(
                f"{program} must exit with code {code}; got {done.returncode}."
            )

    install = ("-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"))
    execute = ("-I", "-W", "error", "-c")
    run("python", *install, str(wheel))
    run("python", *execute, WITHOUT_EXTRAS)
    run("skmtl", "--help", code=1)
    run("python", *install, f"{wheel}[cli,onnx,report]")
    run("python", *execute, WITH_EXTRAS)
    run("skmtl", "--help")
    for command in COMMANDS.split("\n")[1:-1]:
        run("skmtl", *command.split())
    run("python", "-m", "pip", "check")


if __name__ == "__main__":
    wheel = check_archives(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        try_wheel(wheel, Path(folder))

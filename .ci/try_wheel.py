"""Try what `python -m build` made as its users get it: `.ci/try_wheel.py dist`.

The archives hold the files that they should, and no others; the wheel works in an
environment of its own, first without extras, then with them.
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
import skmtl

assert "torch" not in sys.modules
X, Y = skmtl.datasets.make_multitask_classification(
    n_samples=200, n_tasks=3, missing_rate=0.3, random_state=0
)
clf = skmtl.MultiTaskNetClassifier(max_iter=5, n_members=1, random_state=0).fit(X, Y)
assert clf.predict(X).shape == Y.shape
skmtl.save(clf, "model.skmtl")
assert (skmtl.load("model.skmtl").predict_proba(X) == clf.predict_proba(X)).all()
"""


def check_archives(folder: Path) -> Path:
    """Compare both archives with the files of the repository; return the wheel."""
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    tracked = set(listed.stdout.decode().splitlines())
    with tarfile.open(sdist) as archive:
        # Without the name of the folder that it unpacks to.
        names = {name.partition("/")[2] for name in archive.getnames()}
    meant = {name for name in tracked if not name.startswith((".ci/", ".github/"))}
    compare(sdist, names, meant | {"PKG-INFO"})
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    compare(wheel, names, {name for name in tracked if name.startswith("skmtl/")})
    return wheel


def compare(archive: Path, names: set[str], meant: set[str]) -> None:
    """Exit and say what is missing and what is too much, if the names differ."""
    if names != meant:
        raise SystemExit(
            f"{archive.name} lacks {sorted(meant - names)}\n"
            f"and should not have {sorted(names - meant)}."
        )
    print(f"{archive.name}: {len(names)} files, as they should be")


def try_wheel(wheel: Path, folder: Path) -> None:
    """Install the wheel in the folder, and use it there."""
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), *arguments]
        print("+", program, *(shorten(argument) for argument in arguments), flush=True)
        subprocess.run(command, cwd=folder, check=True)

    constraints = str(ROOT / "constraints.txt")
    python = ("python", "-I", "-W", "error", "-c")
    run("python", "-m", "pip", "install", "-q", "-c", constraints, str(wheel))
    run(*python, WITHOUT_EXTRAS)


def shorten(argument: str) -> str:
    """Replace code by dots, for a line of the log."""
    return argument if "\n" not in argument else "..."


if __name__ == "__main__":
    wheel = check_archives(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        try_wheel(wheel, Path(folder))

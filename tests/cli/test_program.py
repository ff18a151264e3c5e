"""The program itself: help, exit codes, what is not installed."""

import gzip
import io
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import skmtl
from skmtl._cli import _app, _evaluating, main

COMMANDS = ("fit", "predict", "evaluate", "compare", "report", "info")


def start(*words, **kwargs):
    command = [sys.executable, "-m", "skmtl", *words]
    return subprocess.run(command, capture_output=True, text=True, **kwargs)


def test_help_at_80_columns(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    for words in ([], ["--help"], *([command, "--help"] for command in COMMANDS)):
        code, shown, errors = run(*words)
        assert (code, errors) == (0, "")
        assert max(map(len, shown.splitlines())) <= 80
        if len(words) == 2:
            assert f"skmtl {words[0]} " in shown.rpartition("╰")[2]  # the examples


def test_version(run):
    assert run("--version") == (0, f"skmtl {skmtl.__version__}\n", "")


def test_unknown_commands_and_options(run):
    for words in (
        ["fti"],
        ["fit"],
        ["info"],
        ["info", "--no"],
        ["fit", "x", "--seed", "a"],
    ):
        code, shown, errors = run(*words)
        assert (code, shown, len(errors.splitlines())) == (2, "", 1)
        assert "--help" in errors


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyError("x"), 3, "KeyError"),
        (MemoryError(), 1, "memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device", "x.csv"), 1, "No space left"),
        (ValueError("what must hold\nand what to do"), 1, "hold and what"),
    ],
)
def test_no_error_is_a_traceback(run, monkeypatch, error, code, words):
    def fail(path):
        raise error

    monkeypatch.setattr(_evaluating, "info", fail)
    got, shown, errors = run("info", "m")
    assert (got, shown, len(errors.splitlines())) == (code, "", 1)
    assert words in errors


def test_a_traceback_if_asked(capsys, monkeypatch):
    monkeypatch.setenv("SKMTL_TRACEBACK", "1")
    assert _app.run(["info", "no such file"]) == 1
    assert "check_is_file" in capsys.readouterr().err


def test_what_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.delitem(sys.modules, "skmtl._cli._app")
    with pytest.raises(SystemExit, match=r'typer.*pip install "skmtl\[cli\]"') as error:
        main()
    assert error.value.code != 0


def test_the_program():
    environment = os.environ | {"PYTHONWARNINGS": "error", "NO_COLOR": "1"}
    result = start("info", "--color", env=environment, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1


def test_letters_that_a_terminal_does_not_know():
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    result = start("fit", "--größe", env=environment, check=False)
    assert result.returncode == 2
    assert "--gr??e" in result.stderr


def test_a_reader_that_has_gone(run, monkeypatch, model):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    assert run("info", model)[0] == 141


def test_help_is_quick():
    program = (
        "import sys\nfrom skmtl._cli._app import run\nrun(['--help'])\n"
        "assert not {'torch', 'sklearn'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_the_extra_names_what_is_needed():
    path = Path(__file__).parents[2] / "pyproject.toml"
    project = tomllib.loads(path.read_text())["project"]
    assert project["scripts"] == {"skmtl": "skmtl._cli:main"}
    extra = " ".join(project["optional-dependencies"]["cli"])
    assert all(name in extra for name in ("typer", "rich", "pyarrow", "jinja2"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the recipe is written for bash")
def test_the_recipe_of_the_guide(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "user_guide" / "command_line.md"
    commands = re.search(r"```bash\n(.*?)```", page.read_text(), flags=re.DOTALL)[1]
    program = f'skmtl() {{ "{sys.executable}" -m skmtl "$@"; }}\n'
    program += f'python() {{ "{sys.executable}" "$@"; }}\nset -e\n{commands}'
    result = subprocess.run(
        ["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "tox 3" in result.stdout
    names = {"model.skmtl", "new.csv", "predictions.csv", "report.html", "train.csv"}
    assert {path.name for path in tmp_path.iterdir()} == names
    sample = re.search(r"```text\n(.*?)```", page.read_text(), flags=re.DOTALL)[1]
    # The probabilities differ from machine to machine.
    written = re.sub(r"0\.\d+", "", (tmp_path / "predictions.csv").read_text())
    for shown in sample.splitlines():
        assert re.sub(r"0\.\d+", "", shown) in written.splitlines()


@pytest.mark.parametrize("command", ["fit", "report"])
def test_a_model_or_page_does_not_go_to_the_standard_output(run, train, command):
    code, shown, errors = run(command, train, "--tasks", "tox a", "--out", "-")
    assert (code, shown, len(errors.splitlines())) == (2, "", 1)
    assert "--out must be the name of a file" in errors
    assert not Path("-").exists()


def test_a_typed_seed_comes_before_that_of_the_settings(run, train, tmp_path, quick):
    settings = tmp_path / "s.toml"
    settings.write_text("[settings]\nrandom_state = 3\n")
    words = ["fit", train, "--tasks", "tox a", "--drop", "tox b", *quick, "--quiet"]
    for typed, expected in (
        ([], 0),
        (["--settings", settings], 3),
        (["--settings", settings, "--seed", "0"], 0),
        (["--set", "random_state=4"], 4),
    ):
        out = tmp_path / "m"
        assert run(*words, *typed, "--out", out, "--force")[0] == 0
        assert skmtl.load(out).random_state == expected


@pytest.mark.skipif(os.name == "nt", reason="names of streams")
def test_streams_are_not_read(run, model, tmp_path):
    stream = tmp_path / "stream"
    os.mkfifo(stream)
    for path in (stream, "-", "/dev/null"):
        for words in (
            ["predict", model, path, "--out", "-"],
            ["evaluate", model, path],
            ["fit", path, "--out", tmp_path / "m"],
        ):
            code, shown, errors = run(*words)
            assert (code, shown, len(errors.splitlines())) == (1, "", 1)
            assert "Write it to a file first" in errors


def test_archives_by_another_name(run, model, train, tmp_path):
    packed = tmp_path / "packed.csv"
    packed.write_bytes(gzip.compress(train.read_bytes()))
    archive = tmp_path / "t.csv.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(train)
    for path, words in ((packed, "packed.csv.gz"), (archive, "ZIP")):
        code, _, errors = run("evaluate", model, path)
        assert (code, len(errors.splitlines())) == (1, 1)
        assert words in errors

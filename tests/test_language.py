"""What people read follows the rules of `docs/_language`: one word for one thing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RULES = ROOT / "docs" / "_language"
TEXTS = sorted(
    path
    for pattern in [
        "*.md",
        "docs/*.md",
        "docs/user_guide/*.md",
        "docs/benchmarks/*.md",
        "docs/examples/*.py",
        "docs/benchmarks/*.py",
        "docs/api/*.rst",
        "skmtl/**/*.py",
        "tests/**/*.py",
    ]
    for path in ROOT.glob(pattern)
    if path not in (Path(__file__), ROOT / "docs" / "user_guide" / "glossary.md")
)


PHRASES = [
    (re.compile(pattern), advice)
    for pattern, advice in (
        line.split(" -> ")
        for line in (RULES / "phrases.txt").read_text().splitlines()
        if not line.startswith("#")
    )
]


def faults_of(line):
    return [advice for pattern, advice in PHRASES if pattern.search(line)]


@pytest.mark.parametrize(
    "line",
    [
        "A rate of .5 is large.",
        "numbers others than 0",
        "it has text that is none",
        "takes up to as many times as long as there are tasks",
        "NaN is refused",
        "Where every task is binary, it is a table.",
        "Of Tox21, forests say more.",
        "on the labels that are there",
    ],
)
def test_rules_find_what_they_are_for(line):
    assert faults_of(line)


@pytest.mark.parametrize(
    "line",
    ["A rate of 0.5 is large.", "clf.fit(X)", "scores: 1.5, .ci/run", "a..b"],
)
def test_rules_leave_the_rest_alone(line):
    assert faults_of(line) == []


def test_texts_say_it_plainly():
    faults = [
        f"{path.relative_to(ROOT)}:{number}: {advice}: {line.strip()}"
        for path in TEXTS
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        for advice in faults_of(line)
    ]
    assert faults == []


def test_words_are_spelled_and_those_of_the_glossary():
    command = [sys.executable, "-m", "codespell_lib", *map(str, TEXTS)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.splitlines() == []
    assert result.returncode == 0

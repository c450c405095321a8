"""The pages: their Python runs, their commands can be given, their links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import pytest
from conftest import ROOT

from ecnas.cli import make_parser

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```", re.M | re.S)

EXTRAS = {
    "agents.md": ("tensorflow", "stable_baselines3"),
    "environments.md": ("matplotlib",),
    "measure.md": ("keras", "sklearn"),
    "searchers.md": ("moocore",),
}
"""What a page's Python needs that the core does not bring."""


def blocks(page, language):
    return [(title, text) for kind, title, text in FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def commands(page):
    for _, text in blocks(page, "console"):
        for line in text.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                yield line[2:].split(" #")[0].strip()


def python_of(page):
    """Everything that is not a file of its own, as one program."""
    return "\n".join(text for title, text in blocks(page, "python") if not title and ">>>" not in text)


@pytest.mark.parametrize("page", [p for p in PAGES if python_of(p)], ids=lambda page: page.name)
def test_python_of_a_page_runs(page, tmp_path):
    for module in EXTRAS.get(page.name, ()):
        pytest.importorskip(module)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "-c", python_of(page)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_a_page_can_be_given(page):
    for command in commands(page):
        words = shlex.split(command)
        if words[0] == "ecnas":
            try:
                make_parser().parse_args(words[1:])
            except SystemExit:
                pytest.fail(f"{page.name}: {command}")
        elif words[0] == "python" and words[1].endswith(".py") and "/" in words[1]:
            source = (ROOT / words[1]).read_text(encoding="utf-8")
            if words[1].startswith("agents/"):
                source += (ROOT / "ecnas/runs/script.py").read_text(encoding="utf-8")
            for word in words[2:]:
                if word.startswith("--"):
                    name = word[2:].partition("=")[0]
                    known = (name, name.replace("-", "_"), name.removeprefix("no-").replace("-", "_"))
                    assert any(spelling in source for spelling in known), f"{page.name}: {command}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def run(command, folder):
    words = shlex.split(command)
    words = [sys.executable, *(["-m", "ecnas", *words[1:]] if words[0] == "ecnas" else words[1:])]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The files of the page on one's own controller, in an empty folder."""
    folder = tmp_path_factory.mktemp("own")
    page = ROOT / "docs" / "own-controller.md"
    for language in ("python", "toml"):
        for title, text in blocks(page, language):
            if title:
                (folder / title).write_text(text, encoding="utf-8")
    return folder


def test_the_page_on_one_s_own_controller_does_what_it_says(own):
    commands_ = list(commands(ROOT / "docs" / "own-controller.md"))
    sweep = next(command for command in commands_ if command.startswith("ecnas sweep mine.toml --processes"))
    done = run(sweep, own)
    assert done.returncode == 0, done.stderr
    assert len(list((own / "runs" / "mine").rglob("record.jsonl"))) == 12
    for name in ("mine", "mine, two edges", "loop", "random"):
        assert name in done.stdout
    source = (own / "mine.py").read_text(encoding="utf-8")
    (own / "mine.py").write_text(source.replace("num_random: int = 5", "num_random: int = 8"), encoding="utf-8")
    told = next(text for _, text in blocks(ROOT / "docs" / "own-controller.md", "text"))
    stale = run(sweep, own)
    assert stale.returncode == 2
    assert told.strip() in stale.stderr
    rerun = next(command for command in commands_ if "--rerun" in command)
    assert run(rerun, own).returncode == 0
    program = next(command for command in commands_ if command.startswith("python program.py"))
    pytest.importorskip("tyro")
    pytest.importorskip("matplotlib")
    done = run(program, own)
    assert done.returncode == 0, done.stderr
    assert len(list((own / "runs" / "surrogate-5V").rglob("cell.json"))) == 1


def test_the_page_s_report_has_both_own_and_ours(own):
    for module in ("moocore",):
        pytest.importorskip(module)
    report = next(c for c in commands(ROOT / "docs" / "own-controller.md") if c.startswith("ecnas report"))
    done = run(report, own)
    assert done.returncode == 0, done.stderr
    page = (own / "report.html").read_text(encoding="utf-8")
    assert "mine, two edges" in page
    assert "regularised evolution" in page


def test_the_page_s_controller_of_stable_baselines3(own):
    pytest.importorskip("sb3_contrib")
    done = run("ecnas sweep sb3.toml", own)
    assert done.returncode == 0, done.stderr
    assert "my PPO" in done.stdout


SPELLINGS = {
    r"\d[  ]%": "5%",
    r"\bper cent\b": "percent",
    r"\b[Hh]yper-parameter": "hyperparameter",
    r"\bNAS-?Bench 101|\bNASBench-101|\b[Nn]as-?bench-101": "NAS-Bench-101",
    r"\bEC-NASBench|\bECNAS-Bench|\bEC-NAS Bench": "EC-NAS-Bench",
}
SOURCES = [
    *PAGES,
    *(
        path
        for folder in ("ecnas", "ecnas_gym", "agents", "benchmarks", "examples")
        for path in (ROOT / folder).rglob("*.py")
    ),
    *(ROOT / "examples").rglob("*.ipynb"),
]


@pytest.mark.parametrize("variant", SPELLINGS)
def test_each_word_has_one_spelling(variant):
    for path in SOURCES:
        found = re.search(variant, path.read_text(encoding="utf-8"))
        assert found is None, f"{path.relative_to(ROOT)}: {found[0]!r} is written {SPELLINGS[variant]!r}"

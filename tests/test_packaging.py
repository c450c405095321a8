"""What pip installs: the wheel and the source distribution hold what they should, once, and nothing else."""

from __future__ import annotations

import collections
import email
import re
import subprocess
import sys
import tarfile
import zipfile

import pytest
from conftest import ROOT

import ecnas

pytest.importorskip("hatchling", reason="building needs hatchling (extra [dev])")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with both distributions."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def tracked(*folders):
    """Files that git knows."""
    done = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("not a checkout")
    return set(done.stdout.splitlines())


def test_wheel(built):
    (path,) = built.glob("*.whl")
    assert path.stat().st_size <= 15e6
    with zipfile.ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if ".dist-info/" not in name]
        metadata = email.message_from_bytes(wheel.read(f"ecnas_gym-{ecnas.__version__}.dist-info/METADATA"))
    assert all(count == 1 for count in collections.Counter(names).values())
    assert {name.split("/")[0] for name in names} == {"ecnas", "ecnas_gym"}
    controllers = {name.replace("agents/", "ecnas_gym/agents/") for name in tracked("agents")}
    assert set(names) == tracked("ecnas", "ecnas_gym") | controllers
    core = {re.split("[><=; ]", line)[0] for line in metadata.get_all("Requires-Dist") if "extra ==" not in line}
    assert {"gymnasium", "numpy"} <= core
    assert not core & {"keras", "matplotlib", "pandas", "plotly", "scikit-learn", "scipy", "tensorflow", "torch"}
    assert metadata["Requires-Python"] == ">=3.10"
    versions = [line.rpartition(" ")[2] for line in metadata.get_all("Classifier") if "Python :: 3." in line]
    assert versions == ["3.10", "3.11", "3.12", "3.13"]


def test_source_distribution(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    folders = tracked("ecnas", "ecnas_gym", "agents", "examples", "benchmarks", "tests", "docs")
    files = {"LICENSE", "NOTICE", "README.md", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "Makefile"}
    assert folders | files | {"constraints.txt", "mkdocs.yml", "pyproject.toml"} <= names


@pytest.mark.parametrize("columns", [60, 100])
@pytest.mark.parametrize("command", ["fetch", "explore", "report", "sweep"])
def test_help_fills_the_terminal(command, columns, monkeypatch, capsys):
    from ecnas import cli

    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    text = capsys.readouterr().out.split("\n\n")[-1]
    assert all(len(line) <= columns for line in text.splitlines())
    assert "  " not in text


@pytest.mark.parametrize("columns", [60, 100])
def test_every_page_of_help_fits_the_terminal(columns, monkeypatch):
    from ecnas import cli

    monkeypatch.setenv("COLUMNS", str(columns))
    pages = cli.make_parser()._subparsers._group_actions[0].choices
    assert set(pages) == set(cli.COMMANDS)
    for command, page in pages.items():
        for line in page.format_help().partition("\n\n")[2].splitlines():  # argparse does not break groups of its usage
            is_to_be_copied = re.match(r"  \S+( \S+)*$", line) or " # " in line
            assert len(line) <= columns or is_to_be_copied, f"{command}: {line}"


@pytest.mark.parametrize("path", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda path: path.name)
def test_workflows_can_run(path):
    """What can be checked without the forge: form, action versions, make targets, extras, scripts."""
    yaml = pytest.importorskip("yaml", reason="reading workflows needs PyYAML (extra [docs])")
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(workflow[True]) <= {"push", "pull_request", "workflow_dispatch"}  # YAML reads the key "on" as true
    assert workflow["permissions"]["contents"] == "read"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    extras = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    for job in workflow["jobs"].values():
        assert job["runs-on"] in {"ubuntu-latest", "${{ matrix.os }}"}
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1"))
            words = step.get("run", "").split()
            if words[:1] == ["make"]:
                for target in (word for word in words[1:] if "=" not in word):
                    assert re.search(rf"^{target}:", makefile, re.M), target
            for extra in re.findall(r"\.\[([\w,]+)\]", step.get("run", "")):
                assert set(extra.split(",")) <= set(extras)
    versions = [job["strategy"]["matrix"]["python"] for job in workflow["jobs"].values() if "strategy" in job]
    assert versions in ([], [["3.10", "3.11", "3.12", "3.13"]])

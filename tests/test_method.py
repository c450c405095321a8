"""Naming methods, their settings, and what makes one the same."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from ecnas import search
from ecnas.runs import MethodError, find_method, make_method
from ecnas.runs.method import describe_method, display_name, source_digest, versions
from ecnas_gym.agents import ppo


@dataclass(frozen=True)
class Typed:
    """A method with settings of all types."""

    whole: int = 1
    part: float = 0.5
    flag: bool = True
    word: str = "a"
    choice: Literal["x", "y"] = "x"
    maybe: int | None = None
    layers: tuple[int, ...] = (64, 64)
    pair: tuple[int, float] = (1, 0.5)
    folder: Path = Path()
    names: list[str] = dataclasses.field(default_factory=list)

    def run(self, evaluate, rng):
        """Nothing."""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from dataclasses import dataclass\nimport neighbour\n\n"
        "@dataclass(frozen=True)\nclass Mine:\n    step: float = 0.5\n\n    def run(self, evaluate, rng): ...\n\n"
        "class NoMethod: ...\n"
    )
    (tmp_path / "neighbour.py").write_text("import further\nX = 1\n")
    (tmp_path / "further.py").write_text("import numpy\n")
    yield path
    for name in [name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]
    sys.path.remove(str(tmp_path))


def test_by_module_and_class():
    assert find_method("ecnas.search:RandomSearch") is search.RandomSearch
    assert find_method("ecnas.search.semoa:SEMOA") is search.SEMOA


def test_by_file_relative_to_a_folder(mine, tmp_path):
    kind = find_method("mine.py:Mine", tmp_path)
    assert make_method(kind, {"step": 1}).step == 1.0
    assert find_method(f"{mine}:Mine") is kind
    with pytest.raises(MethodError, match="'mine.py:NoMethod' must be a dataclass with a function run"):
        find_method("mine.py:NoMethod", tmp_path)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ("ecnas.search:RandomSerach", "ecnas.search has no class 'RandomSerach'; did you mean 'RandomSearch'"),
        ("ecnas.serch:RandomSearch", "ecnas.serch cannot be imported"),
        ("no_such_file.py:Mine", "there is no file"),
        ("ecnas.runs:run", "must be a dataclass with a function run"),
        ("RandomSerach", "unknown method 'RandomSerach'"),
    ],
)
def test_typos_are_named(use, message):
    with pytest.raises(MethodError, match=message):
        find_method(use)


def test_a_file_that_cannot_be_imported_is_named(tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(MethodError, match=r"broken.py cannot be imported \(ZeroDivisionError"):
        find_method("broken.py:Mine", tmp_path)
    sys.path.remove(str(tmp_path))


def test_settings_of_all_types():
    settings = {
        "whole": 2, "part": 1, "flag": False, "word": "b", "choice": "y", "maybe": 3, "layers": [1, 2, 3],
        "pair": [2, 1], "folder": "a/b", "names": ["n"],
    }  # fmt: skip
    method = make_method(Typed, settings)
    assert method == Typed(2, 1.0, False, "b", "y", 3, (1, 2, 3), (2, 1.0), Path("a/b"), ["n"])
    assert isinstance(method.part, float)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"whole": "3"}, "whole must be int, got '3'"),
        ({"whole": 1.5}, "whole must be int, got 1.5"),
        ({"whole": True}, "whole must be int, got True"),
        ({"part": "x"}, "part must be float, got 'x'"),
        ({"flag": 1}, "flag must be bool, got 1"),
        ({"choice": "z"}, "choice must be one of 'x', 'y', got 'z'"),
        ({"maybe": "1"}, "maybe must be int or NoneType, got '1'"),
        ({"layers": [1, "2"]}, r"layers must be tuple\[int, ...\], got \[1, '2'\]"),
        ({"pair": [1]}, "pair must be"),
        ({"wole": 1}, "unknown setting 'wole'; did you mean 'whole'"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(MethodError, match=message):
        make_method(Typed, settings)


def test_all_wrong_settings_are_named_at_once():
    with pytest.raises(MethodError, match=r"unknown setting 'a'.*whole must be int, got 'x'.*settings of Typed: whole"):
        make_method(Typed, {"a": 1, "whole": "x"})
    with pytest.raises(MethodError, match="population_size must be"):
        make_method(search.RegularisedEvolution, {"population_size": -1})


def test_what_makes_a_method():
    described = describe_method(search.RegularisedEvolution(population_size=70))
    assert described["class"] == "RegularisedEvolution"
    assert described["settings"]["population_size"] == 70
    assert set(described["settings"]) == {f.name for f in dataclasses.fields(search.RegularisedEvolution)}
    assert describe_method(search.BANANAS())["settings"]["hidden"] == [64, 64]  # as JSON has it
    assert display_name(search.RandomSearch()) == "random search"
    assert display_name(Typed) == "Typed"


def test_the_digest_is_of_the_file_and_its_neighbours(mine, tmp_path):
    module = find_method("mine.py:Mine", tmp_path).__module__
    before = source_digest(module)
    assert source_digest(module) == before
    (tmp_path / "unrelated.py").write_text("Y = 1\n")
    source_digest.cache_clear()
    assert source_digest(module) == before
    for name in ("further.py", "neighbour.py", "mine.py"):
        (tmp_path / name).write_text((tmp_path / name).read_text() + "# changed\n")
        source_digest.cache_clear()
        assert source_digest(module) != before
        before = source_digest(module)


def test_versions_are_those_that_matter():
    assert set(versions("ecnas.search.random_search")) == {"python", "ecnas-gym", "numpy"}
    pytest.importorskip("torch")
    assert {"torch", "sb3_contrib", "stable_baselines3"} <= {*versions(ppo.PPO.__module__)}

from __future__ import annotations

import html
import importlib
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import PACKAGES, synthetic_table

import ecnas
import ecnas.runs
from ecnas import search


@pytest.mark.parametrize("name", ["4V", "7V"])
def test_a_cell_shows_its_drawing(name):
    space = ecnas.Space(name)
    for cell in [space[0], *space.sample(np.random.default_rng(0), 20)]:
        page = ElementTree.fromstring(cell._repr_html_())
        svg = page.find("{http://www.w3.org/2000/svg}svg")
        assert [len(svg.findall(f"{{*}}{tag}")) for tag in ("rect", "polyline", "polygon")] == [
            cell.num_vertices,
            cell.num_edges,
            cell.num_edges,
        ]
        _, _, width, height = map(float, svg.get("viewBox").split())
        for line in svg.findall("{*}polyline"):
            for point in line.get("points").split():
                x, y = map(float, point.split(","))
                assert abs(x) <= width / 2
                assert -22 <= y <= height - 22
        assert cell.hash in "".join(page.itertext())


def test_an_evaluation_shows_its_metrics(synthetic_4v):
    evaluation = synthetic_4v.query(synthetic_4v.space[40])
    page = evaluation._repr_html_()
    assert f">{evaluation.val_accuracy:.4f}<" in page
    assert f">{evaluation.energy:.4g} kWh<" in page
    assert ">measured<" in page


def test_names_are_escaped():
    benchmark = ecnas.Benchmark(synthetic_table("4V", name="<img src=x>"))
    assert "<img" not in benchmark._repr_html_()
    assert html.escape("<img src=x>") in benchmark._repr_html_()


def test_a_front_is_shortened():
    front = ecnas.load("surrogate-7V").pareto_front()
    page = front._repr_html_()
    assert f"{len(front)} cells" in page
    assert page.count("<tr>") == 13
    assert f">{front.rows[0]}<" in page
    assert f">{front.rows[-1]}<" in page
    assert "<th" in page
    for name in ("val_accuracy", "energy", "kWh"):
        assert name in page
    assert repr(front) == f"<Front of {len(front)} cells: val_accuracy and energy>"
    assert front.objectives == ("val_accuracy", "energy")


def test_a_front_without_names_of_its_objectives_is_shown_too():
    front = ecnas.Front(np.arange(2), np.array([[0.8, 2.0], [0.9, 3.0]]), np.eye(2))
    assert "objective 1" in front._repr_html_()
    assert repr(front) == "<Front of 2 cells: 2 objectives>"


def test_a_run_shows_what_it_recommends():
    record = search.run(search.RandomSearch(), "surrogate-4V", 20, 0, name="<b>mine")
    page = record._repr_html_()
    assert "&lt;b&gt;mine" in page
    assert f">{record.recommended_rows()[-1]}<" in page
    assert re.search(r">20<", page)


@pytest.mark.parametrize("name", PACKAGES)
def test_completion_offers_what_is_public(name):
    module = importlib.import_module(name)
    public = dir(module)
    assert set(module.__all__) <= set(public)
    assert set(public) - set(module.__all__) <= {"measured", "network", "official", "runs", "search"}
    for name in public:
        assert getattr(module, name) is not None

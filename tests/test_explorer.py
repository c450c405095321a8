from __future__ import annotations

import contextlib
import html
import json
import re

import numpy as np
import pytest
from browser import open_browser, open_page
from conftest import synthetic_table
from hypothesis import given
from hypothesis import strategies as st

import ecnas
from ecnas import cli, search
from ecnas.explorer import load_runs, render
from ecnas.explorer.packing import NO_VALUE, STEPS, cell_keys, pack, quantise, unpack
from ecnas.pareto import non_dominated
from ecnas.runs.looks import looks
from ecnas.table import Column


@given(st.lists(st.floats(1e-6, 1e6) | st.just(float("nan")), min_size=1, max_size=50), st.booleans())
def test_quantised_values_are_off_by_half_a_step_at_most(values, log):
    values = np.array(values)
    if np.isnan(values).all():
        return
    quantised = quantise(values, log)
    bend = np.log if log else np.asarray
    step = (bend(quantised.high) - bend(quantised.low)) / STEPS
    known = ~np.isnan(values)
    assert (np.abs(bend(quantised.decode()[known]) - bend(values[known])) <= 0.5001 * step + 1e-9).all()
    assert (quantised.codes[~known] == NO_VALUE).all()
    assert (quantised.codes[known] <= STEPS).all()


def test_packed_arrays_come_back():
    rng = np.random.default_rng(0)
    arrays = {
        "ascending": np.sort(rng.integers(0, 2**32, 1000, dtype=np.uint32)),
        "codes": rng.integers(0, 2**16, 999, dtype=np.uint16),
        "rows": np.array([5, -1, 2**31 - 1, -(2**31)], dtype=np.int32),
        "origins": np.zeros(7, dtype=np.uint8),
        "one": np.array([3], dtype=np.uint32),
        "none": np.array([], dtype=np.int32),
    }
    for name, array in unpack(*pack(arrays)).items():
        assert array.dtype == arrays[name].dtype
        np.testing.assert_array_equal(array, arrays[name])


def test_keys_are_the_cells_in_row_order():
    space = ecnas.Space("7V")
    keys = cell_keys(space).astype(np.int64)
    assert (np.diff(keys) > 0).all()
    cells = space.cells
    np.testing.assert_array_equal(keys >> 29, cells.num_vertices)
    np.testing.assert_array_equal(keys >> 8 & 2**21 - 1, cells.edge_bits)
    np.testing.assert_array_equal(keys & 255, cells.op_codes)


def contents(page):
    """What a page holds: its description and its arrays."""
    about = json.loads(re.search(r'id="about">(.*?)</script>', page, re.S)[1])
    return about, unpack(re.search(r'id="data">(.*?)</script>', page, re.S)[1], about["index"])


def test_page_of_all_cells_is_small_and_exact():
    benchmark = ecnas.load("surrogate-7V")
    page = render(benchmark)
    assert len(page) < 15e6
    about, arrays = contents(page)
    assert len(arrays["cells"]) == 423_624
    np.testing.assert_array_equal(arrays["trainable_parameters"], benchmark.space.trainable_parameters)
    (accuracy,) = (metric for metric in about["metrics"] if metric["name"] == "val_accuracy")
    decoded = accuracy["low"] + (accuracy["high"] - accuracy["low"]) * arrays["val_accuracy"] / STEPS
    np.testing.assert_allclose(decoded, benchmark.values("val_accuracy"), atol=1e-5)
    assert set(arrays["front val_accuracy energy"].tolist()) == set(benchmark.pareto_front().rows.tolist())
    test, time = benchmark.values("test_accuracy"), benchmark.values("training_time")
    assert set(arrays["front test_accuracy training_time"]) == set(non_dominated(np.stack([test, -time], axis=1)))


def test_texts_of_files_are_escaped():
    name = "</script><script>alert(1)</script>{{data}}"
    page = render(ecnas.Benchmark(synthetic_table("4V", name=name)))
    assert page.count("<script>alert") == 0
    assert f"<title>{html.escape(name)}: every cell at 108 epochs</title>" in page
    assert contents(page)[0]["benchmark"] == name


def test_benchmark_without_accuracies_is_refused():
    table = synthetic_table("4V")
    table = synthetic_table("4V", columns={"energy": table.columns["energy"]})
    with pytest.raises(ecnas.OutOfDomainError, match="no accuracy at 108 epochs"):
        render(ecnas.Benchmark(table))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    methods = {"random <b>": search.RandomSearch(), "local": search.LocalSearch(num_initial=3)}
    for number, (name, method) in enumerate(methods.items()):
        for seed in range(2):
            path = folder / str(number) / f"seed-{seed}" / "record.jsonl"
            search.run(method, ecnas.load("surrogate-4V~1"), 20, seed, name=name, path=path)
    return folder


def test_runs_lie_over_the_benchmark_that_they_are_on_a_world_of(runs):
    records = load_runs([runs])
    about, arrays = contents(render(ecnas.load("surrogate-4V"), runs=records))
    assert [(run["name"], run["evaluations"]) for run in about["runs"]] == [(run.name, 20) for run in records]
    np.testing.assert_array_equal(arrays["run rows"][20:40], records[1].column("row"))
    np.testing.assert_array_equal(arrays["run choices"][20:40], records[1].recommended_rows())
    assert contents(render(ecnas.load("surrogate-5V"), runs=records))[0]["runs"] == about["runs"]  # the same table
    shown = looks(run.name for run in records)
    assert {method["name"]: method["colour"] for method in about["methods"]} == {
        n: look.colour for n, look in shown.items()
    }
    with pytest.raises(ecnas.ECNASError, match="not on 'synthetic-4V'"):
        render(ecnas.Benchmark(synthetic_table("4V")), runs=records)
    larger = search.run(search.RandomSearch(), ecnas.load("surrogate-5V"), 20, 0)
    with pytest.raises(ecnas.ECNASError, match="not on 'surrogate-4V'"):
        render(ecnas.load("surrogate-4V"), runs=[larger])


def test_command(runs, tmp_path, capsys):
    out = tmp_path / "folder" / "page.html"
    assert cli.main(["explore", "surrogate-4V", "--runs", str(runs), "-o", str(out), "--title", "<Mine>"]) == 0
    assert "91 cells, 4 runs" in capsys.readouterr().out
    assert "<h1>&lt;Mine&gt;</h1>" in out.read_text(encoding="utf-8")
    assert cli.main(["explore", "surrogate-4V", "--epochs", "5"]) == 2
    assert cli.main(["explore", "surrogate-4V", "--runs", str(tmp_path / "nothing")]) == 2


# ---------------------------------------------------------------------------------------------------------------------
# In a browser


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


@pytest.fixture
def explore(browser, tmp_path):
    """Opens the explorer of a benchmark."""
    with contextlib.ExitStack() as stack:

        def open_(benchmark, runs=(), **window):
            path = tmp_path / "explore.html"
            path.write_text(render(benchmark, runs=runs), encoding="utf-8")
            page = stack.enter_context(open_page(browser, path, **window))
            page.wait_for_function("window.explorer && explorer.frames > 0")
            return page

        yield open_


@pytest.mark.parametrize("name", ["4V", "5V", "7V"])
def test_neighbours_are_those_of_the_space(explore, name):
    benchmark = ecnas.load(f"surrogate-{name}")
    space = benchmark.space
    page = explore(benchmark)
    rng = np.random.default_rng(0)
    rows = range(91) if name == "4V" else [0, 1, 7, 91, len(space) - 1, *rng.integers(len(space), size=80).tolist()]
    found = page.evaluate("rows => rows.map(explorer.neighbours)", list(rows))
    for row, neighbours in zip(rows, found, strict=True):
        assert neighbours == [cell.row for cell in space.neighbours(space[row])]


def place_of(page, row):
    x, y = page.evaluate("row => explorer.screen(row)", row)
    box = page.locator("#overlay").bounding_box()
    return box["x"] + x, box["y"] + y


def test_hover_and_click_show_the_cell(explore):
    benchmark = ecnas.load("surrogate-4V")
    page = explore(benchmark)
    front = sorted(page.evaluate("explorer.front"))
    assert front == sorted(benchmark.pareto_front().rows.tolist())
    row = front[len(front) // 2]
    cell = benchmark.space[row]
    page.mouse.move(*place_of(page, row))
    page.wait_for_selector("#cell:visible")
    assert page.locator("#snippet").input_value() == f'ecnas.Space("4V")[{row}]'
    assert page.locator("#drawing rect").count() == cell.num_vertices
    assert page.locator("#drawing polyline").count() == cell.num_edges
    assert f"{benchmark.query(cell).val_accuracy:.4f}" in page.locator("#metrics").inner_text()
    assert "surrogate" in page.locator("#metrics").inner_text()
    assert page.evaluate("explorer.selected") == -1
    page.mouse.down()
    page.mouse.up()
    assert page.evaluate("explorer.selected") == row
    neighbours = {neighbour.row for neighbour in benchmark.space.neighbours(cell)}
    assert page.locator("#neighbours tbody tr").count() == len(neighbours)
    page.locator("#neighbours tbody button").first.click()
    assert page.evaluate("explorer.selected") in neighbours


def test_keys_pan_zoom_and_walk(explore):
    page = explore(ecnas.load("surrogate-4V"))
    page.locator("#overlay").focus()
    size = page.evaluate("explorer.scatter.view.size")
    page.keyboard.press("+")
    assert page.evaluate("explorer.scatter.view.size") < size
    left = page.evaluate("explorer.scatter.view.left")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("explorer.scatter.view.left") > left
    page.keyboard.press("0")
    assert page.evaluate("explorer.scatter.view.size") == size
    page.keyboard.press("]")
    first = page.evaluate("explorer.selected")
    assert first == page.evaluate("explorer.front[0]")
    neighbours = page.evaluate("explorer.neighbours(explorer.front[0])")
    page.keyboard.press("n")
    second = page.evaluate("explorer.selected")
    page.keyboard.press("n")
    assert {second, page.evaluate("explorer.selected")} <= set(neighbours)
    page.keyboard.press("Escape")
    assert page.evaluate("explorer.selected") == -1


def test_touch_selects_and_the_page_fits_a_phone(explore):
    page = explore(ecnas.load("surrogate-4V"), width=420, height=860, has_touch=True, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    row = page.evaluate("explorer.front[3]")
    page.touchscreen.tap(*place_of(page, row))
    assert page.evaluate("explorer.selected") == row
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"


def test_density_becomes_single_cells(explore):
    page = explore(ecnas.load("surrogate-7V"))
    assert page.evaluate("explorer.scatter.mode") == "density"
    page.locator("#overlay").focus()
    for _ in range(12):
        page.keyboard.press("+")
    page.wait_for_function("explorer.scatter.mode == 'cells'")


INK = """() => {
  const { scatter } = explorer, gl = scatter.regl._gl;
  const width = gl.drawingBufferWidth, height = gl.drawingBufferHeight;
  const ink = new Uint8Array(4 * width * height);
  scatter.draw(() => {});
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, ink);
  return ink.reduce((sum, value, i) => sum + (i % 4 === 0 && value < 250), 0);
}"""


@pytest.mark.parametrize("name", ["4V", "7V"])
def test_cells_are_drawn(explore, name):
    page = explore(ecnas.load(f"surrogate-{name}"))
    assert page.evaluate(INK) > (1000 if name == "4V" else 50_000)  # pixels
    page.locator("#most-vertices").evaluate("e => { e.value = 1; e.dispatchEvent(new Event('change')); }")
    assert page.evaluate(INK) == 0


def test_filters_choose_cells(explore):
    benchmark = ecnas.load("surrogate-5V")
    page = explore(benchmark)
    page.locator("#filters summary").click()
    page.locator("#most-vertices").fill("4")
    page.locator("#most-vertices").press("Tab")
    page.locator("#least-conv3x3").fill("1")
    page.locator("#least-conv3x3").press("Tab")
    cells = [cell for cell in benchmark.space if cell.num_vertices <= 4 and "conv3x3-bn-relu" in cell.ops]
    assert page.evaluate("explorer.scatter.order.length") == len(cells)
    page.get_by_role("button", name="reset").click()
    assert page.evaluate("explorer.scatter.order.length") == 2532


def test_measured_and_filled_cells_are_told_apart(explore):
    table = synthetic_table("4V")
    origins = np.zeros((91, 1, 1), dtype=np.uint8)
    origins[10:] = 3
    columns = {name: Column(c.values, provenance=origins) for name, c in table.columns.items()}
    page = explore(ecnas.Benchmark(synthetic_table("4V", columns=columns)))
    page.evaluate("explorer.select(12)")
    assert "surrogate" in page.locator("#metrics").inner_text()
    page.evaluate("explorer.select(3)")
    assert "measured" in page.locator("#metrics").inner_text()
    page.locator("#filters summary").click()
    page.locator("#measured").check()
    assert page.evaluate("explorer.scatter.order.length") == 10


def test_runs_can_be_shown_and_hidden(explore, runs):
    page = explore(ecnas.load("surrogate-4V"), load_runs([runs]))
    assert page.locator("#methods label").all_inner_texts() == [" ● random <b> (2)", " ● local (2)"]
    picture = page.locator("#overlay").screenshot()
    for box in page.locator("#methods input").all():
        box.uncheck()
    page.wait_for_timeout(100)
    assert page.locator("#overlay").screenshot() != picture

"""Frames per second of the explorer's page during panning and zooming, in headless Chromium.

    python benchmarks/explorer_frames.py

Chromium renders in software (SwiftShader), so no graphics card is needed; with one, frames are faster. A browser draws
at most 60 frames per second. The view moves a little in every frame: over all cells, drawn as a density, and among few
enough cells that each is drawn.

Frames per second depend on the load of the machine. The processor time per frame, over all of the browser's processes,
does
not: at 33 ms or less, one free core draws 30 frames per second.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import psutil  # type: ignore[import-untyped]

import ecnas
from ecnas.explorer import render

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from browser import open_browser, open_page  # type: ignore[import-not-found]

SECONDS = 2
MOVES = {
    "panning": "scatter.pan(Math.sin(i / 20) * 9, Math.cos(i / 20) * 6)",
    "zooming": "scatter.zoom(1.02, 700, 300)",
}
MEASURE = """
async ([seconds, move]) => {
  const { scatter } = explorer, step = new Function("scatter", "i", move), begin = performance.now();
  let frames = 0, now = begin;
  while (now - begin < 1000 * seconds) {
    step(scatter, frames++);
    explorer.draw();
    now = await new Promise(requestAnimationFrame);
  }
  return [frames, (now - begin) / 1000, scatter.inView(), scatter.mode];
}
"""


def processor_time() -> float:
    """Seconds of processor time that the processes started from here have taken."""
    return sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children(recursive=True))


def main() -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        path = Path(folder) / "explore.html"
        path.write_text(render(ecnas.load("surrogate-7V")), encoding="utf-8")
        print(f"page {path.stat().st_size / 1e6:.1f} MB; window of 1400 × 900 pixels\n")
        print(
            "| | points in view | processor time a frame (ms) | frames a second | cores taken |\n|---|---|---|---|---|"
        )
        for zoom in (1, 4, 12, 40):
            with open_page(browser, path, 1400, 900) as page:
                page.wait_for_function("window.explorer && explorer.frames > 0")
                page.evaluate("z => { const s = explorer.scatter; s.zoom(z, s.width * 0.5, s.height * 0.3); }", zoom)
                for name, move in MOVES.items():
                    before = processor_time()
                    frames, seconds, points, mode = page.evaluate(MEASURE, [SECONDS, move])
                    taken = processor_time() - before
                    values = f"{1000 * taken / frames:.0f} | {frames / seconds:.0f} | {taken / seconds:.1f}"
                    print(f"| {zoom} ×, {name} | {points:,} ({mode}) | {values} |")


if __name__ == "__main__":
    main()

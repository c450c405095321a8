"""Frames a second of the explorer's page while it is panned and zoomed, in headless Chromium.

    python benchmarks/explorer_frames.py

Chromium draws in software here (SwiftShader), so a graphics card is not needed; with one, frames are faster. A
browser draws at most 60 frames a second. The view moves a little in every frame, over all cells (their density is
drawn) and among few enough that they are drawn one by one.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

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
  const { scatter } = explorer, step = new Function("scatter", "i", move), times = [];
  const begin = performance.now();
  for (let i = 0, last = begin; last - begin < 1000 * seconds; i++) {
    step(scatter, i);
    explorer.draw();
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    times.push(now - last);
    last = now;
  }
  times.sort((a, b) => a - b);
  const total = times.reduce((a, b) => a + b), slow = times[Math.floor(times.length * 0.95)];
  return [1000 * times.length / total, slow, scatter.inView(), scatter.mode];
}
"""


def main() -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        path = Path(folder) / "explore.html"
        path.write_text(render(ecnas.load("surrogate-7V")), encoding="utf-8")
        print(f"page {path.stat().st_size / 1e6:.1f} MB; window of 1400 × 900 pixels\n")
        print("| | points in view | frames a second | slowest 5 % of frames from (ms) |\n|---|---|---|---|")
        for zoom in (1, 4, 12, 40):
            with open_page(browser, path, 1400, 900) as page:
                page.wait_for_function("window.explorer && explorer.frames > 0")
                page.evaluate("z => { const s = explorer.scatter; s.zoom(z, s.width * 0.5, s.height * 0.3); }", zoom)
                for name, move in MOVES.items():
                    rate, slow, points, mode = page.evaluate(MEASURE, [SECONDS, move])
                    print(f"| {zoom} ×, {name} | {points:,} ({mode}) | {rate:.0f} | {slow:.0f} |")


if __name__ == "__main__":
    main()

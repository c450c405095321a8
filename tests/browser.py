"""A real browser for the tests of pages; they are skipped, with the reason, where there is none."""

from __future__ import annotations

import contextlib
import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]

FAINT = """() => {
    const parse = text => { const m = text.match(/[\\d.]+/g).map(Number); return [m[0], m[1], m[2], m[3] ?? 1] };
    const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat([1]);
    const light = c => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
        const v = c[i] / 255;
        return sum + weight * (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4) }, 0);
    const parents = e => e ? [e, ...parents(e.parentElement)] : [];
    const found = new Set();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const e = texts.currentNode.parentElement, style = getComputedStyle(e);
        if (!texts.currentNode.textContent.trim() || !e.offsetParent || e.getBoundingClientRect().width < 2) continue;
        if (style.visibility === "hidden") continue;
        const opacity = parents(e).reduce((product, p) => product * getComputedStyle(p).opacity, 1);
        if (opacity === 0) continue;
        const behind = parents(e).map(p => parse(getComputedStyle(p).backgroundColor)).filter(c => c[3] > 0)
            .reduceRight((below, c) => over(c, below), [255, 255, 255, 1]);
        const own = parse(style.color), shown = over([own[0], own[1], own[2], own[3] * opacity], behind);
        const [a, b] = [light(shown), light(behind)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
        const large = parseFloat(style.fontSize) >= 24;
        if (ratio < (large ? 3 : 4.5)) found.add(`${e.tagName}.${e.className} ${style.color} ${ratio.toFixed(2)}`);
    }
    return [...found];
}"""
"""Texts whose contrast is below that of WCAG 2, level AA."""


@contextlib.contextmanager
def open_browser():
    """Chromium, with no network."""
    api = pytest.importorskip("playwright.sync_api", reason="tests in a browser need playwright (extra [dev])")
    if CHROMIUM is None:
        pytest.skip("no chromium is installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def open_page(browser, path, width=1200, height=800, **context):
    """A page in a window of its own; errors of its scripts and requests beyond its file fail the test."""
    window = browser.new_context(viewport={"width": width, "height": height}, offline=True, **context)
    page = window.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: wrong.append(request.url) if request.url != path.as_uri() else None)
    page.goto(path.as_uri())
    yield page
    assert wrong == []
    window.close()

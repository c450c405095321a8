"""The site: it builds without a warning, documents every public name and loads nothing from elsewhere."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import zlib

import pytest
from browser import open_browser
from conftest import PACKAGES, ROOT

pytest.importorskip("mkdocstrings", reason="the site needs ecnas-gym[docs]")
pytest.importorskip("material", reason="the site needs ecnas-gym[docs]")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_public_name_is_documented(site):
    inventory = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    documented = {line.split(" ")[0] for line in zlib.decompress(inventory).decode().splitlines()}
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            public = getattr(module, name)
            own = f"{getattr(public, '__module__', '')}.{getattr(public, '__qualname__', '')}"
            assert {f"{package}.{name}", own} & documented, f"{package}.{name}"


def test_pages_load_nothing_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"<(?:script|img|iframe|link|source)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//", text), (
            page
        )
        assert '<a href="../' not in text or page.parent != site, page


def test_docstrings_are_shown_as_markdown(site):
    for page in (site / "reference").glob("*.html"):
        assert not re.search(r":(?:class|func|meth|mod|attr|data):<code>", page.read_text(encoding="utf-8")), page


def test_search_works_from_disk(site):
    with open_browser() as browser:
        window = browser.new_context(viewport={"width": 1400, "height": 900}, offline=True)
        page = window.new_page()
        wrong = []
        page.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
        page.goto((site / "index.html").as_uri())
        page.locator(".md-search__input").fill("scalarisation")
        found = page.locator(".md-search-result__link")
        found.first.wait_for(timeout=30_000)
        assert any("rewards.html" in found.nth(k).get_attribute("href") for k in range(found.count()))
        assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone(site, scheme):
    with open_browser() as browser:
        window = browser.new_context(viewport={"width": 420, "height": 860}, color_scheme=scheme, offline=True)
        page = window.new_page()
        for name in ("index", "start", "environments", "rl-nas", "reference/ecnas"):
            page.goto((site / f"{name}.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= 420, name


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(site, scheme):
    with open_browser() as browser:
        window = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme=scheme, offline=True)
        page = window.new_page()
        for name in ("index", "start", "rl-nas", "own-controller", "reference/ecnas"):
            page.goto((site / f"{name}.html").as_uri())
            assert page.evaluate(FAINT) == [], name

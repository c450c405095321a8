"""The site: it builds without a warning, documents every public name and loads nothing from elsewhere."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import zlib

import pytest
from browser import FAINT, open_browser
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(site, scheme):
    with open_browser() as browser:
        window = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme=scheme, offline=True)
        page = window.new_page()
        for name in ("index", "start", "rl-nas", "own-controller", "reference/ecnas"):
            page.goto((site / f"{name}.html").as_uri())
            assert page.evaluate(FAINT) == [], name

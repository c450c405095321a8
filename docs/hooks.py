"""What the site does beyond Markdown: it shows the source files that pages link to."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import griffe
from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).parent.parent
LINK: Final = re.compile(r"\]\(\.\./([^)#]+)\)")
"""A link of a page in ``docs/`` to a file of the repository."""


def on_files(files: Files, config: Any) -> Files:
    """Adds a page for each file that a page links to."""
    pages = [file for file in files.documentation_pages() if "/" not in file.src_uri]
    targets = {target.rstrip("/") for page in pages for target in LINK.findall(page.content_string)}
    for target in sorted(targets):
        path = ROOT / target
        if path.is_dir():
            text = "\n".join(sorted(f"- `{file.name}`" for file in path.iterdir() if file.is_file()))
        elif path.suffix == ".ipynb":
            text = _notebook(path)
        else:
            kind = {".py": "python", ".toml": "toml", ".md": "markdown"}.get(path.suffix, "text")
            text = f"`````{kind}\n{path.read_text(encoding='utf-8')}\n`````"
        files.append(File.generated(config, f"source/{target}.md", content=f"# {target}\n\n{text}\n"))
    return files


def _notebook(path: Path) -> str:
    """A notebook's text and code, without outputs."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    return "\n\n".join(text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in sources)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Leads links to files of the repository to their pages."""
    return LINK.sub(lambda link: f"](source/{link[1].rstrip('/')}.md)", markdown)


class Docstrings(griffe.Extension):
    """Makes Markdown of what docstrings have of reStructuredText."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Changes the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            text = re.sub(r":(?:attr|class|data|exc|func|meth|mod):`~?", "`", obj.docstring.value)
            text = re.sub(r"^Example:$", "Examples:", text, flags=re.M)
            obj.docstring.value = re.sub(r"^(>>> .*(?:\n.+)*)", r"```pycon\n\1\n```", text, flags=re.M)

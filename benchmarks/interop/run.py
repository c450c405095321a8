"""Runs a short training or search of each outside client in a virtual environment of its own.

    python benchmarks/interop/run.py tianshou optuna     only these; all by default
    python benchmarks/interop/run.py --table             the table of docs/interop.md

A client is a script ``with_NAME.py`` beside this file. Its head names what it needs, in the form of scripts with
dependencies (PEP 723): this package, then the client, then others. Lines needed only for this package end with
``# glue``. Its last line of output is the result. Versions and results are kept in ``results.json``, environments in
``build/interop``.
"""

from __future__ import annotations

import argparse
import ast
import datetime
import json
import platform
import re
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any, Final

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
ENVIRONMENTS: Final = ROOT / "build" / "interop"
RESULTS: Final = HERE / "results.json"
_SECONDS: Final = 600


def scripts() -> dict[str, Path]:
    """The script of each client by its name."""
    return {path.stem.removeprefix("with_"): path for path in sorted(HERE.glob("with_*.py"))}


def head(script: Path) -> dict[str, Any]:
    """The metadata in the head of a script."""
    text = script.read_text(encoding="utf-8").split("# ///")[1]
    found: dict[str, Any] = tomllib.loads("\n".join(line.removeprefix("# ") for line in text.splitlines()[1:]))
    return found


def needs(script: Path) -> list[str]:
    """The requirements of a script besides this package."""
    return [need for need in head(script)["dependencies"] if need != "ecnas-gym"]


def glue(script: Path) -> int:
    """The number of lines that a script needs only for this package."""
    return sum(line.endswith("# glue") for line in script.read_text(encoding="utf-8").splitlines())


def client_of(script: Path, python: Path) -> tuple[str, str | None]:
    """Name and version of the client: of the installed package, unless the head of the script names them."""
    told = head(script).get("tool", {}).get("interop")
    if told:
        return told["client"], told["version"]
    package = re.split(r"[\[<>=]", needs(script)[0])[0]
    shown = subprocess.run([python, "-m", "pip", "show", package], capture_output=True, text=True, check=False)
    version = re.search(r"^Version: (.*)$", shown.stdout, re.MULTILINE)
    return package, version[1] if version else None


def run(name: str) -> dict[str, Any]:
    """Makes the environment if there is none, and runs the script."""
    script, folder = scripts()[name], ENVIRONMENTS / name
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    constraints = str(ROOT / "constraints.txt")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--constraint", constraints]
    try:
        if not python.exists():
            venv.create(folder, with_pip=True)
        others = needs(script)
        if "torch" in others:  # from the constraints: what depends on it would choose a build of several gigabytes
            subprocess.run([*pip, "torch"], check=True, capture_output=True, text=True)
        subprocess.run([*pip, "--editable", str(ROOT), *others], check=True, capture_output=True, text=True)
        done = subprocess.run(
            [python, script], check=True, capture_output=True, text=True, timeout=_SECONDS, cwd=folder
        )
        outcome, works = done.stdout.strip().splitlines()[-1], True
    except subprocess.CalledProcessError as error:
        outcome, works = error.stderr.strip().splitlines()[-1], False
    except subprocess.TimeoutExpired:
        outcome, works = f"still running after {_SECONDS} s", False
    client, version = client_of(script, python)
    return {
        "client": client,
        "version": version,
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
        "works": works,
        "outcome": outcome,
    }


def table() -> str:
    """The results as a Markdown table."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    lines = ["| client | version | lines of glue | notes | result |", "|---|---|---:|---|---|"]
    for name, script in scripts().items():
        found = results[name]
        link = f"[{found['client']}](../benchmarks/interop/{script.name})"
        told = found["outcome"] if found["works"] else f"did not run: {found['outcome']}"
        known = " ".join((ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or "").split())
        lines.append(f"| {link} | {found['version'] or '–'} | {glue(script)} | {known} | {told} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(scripts())}; all by default")
    parser.add_argument("--table", action="store_true", help="print the results without running anything")
    arguments = parser.parse_args()
    if arguments.table:
        print(table())
        return 0
    if unknown := set(arguments.names) - scripts().keys():
        parser.error(f"NAME must be one of {', '.join(scripts())}, got {', '.join(sorted(unknown))}")
    failures = 0
    for name in arguments.names or scripts():
        results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
        results[name] = run(name)
        RESULTS.write_text(
            json.dumps(dict(sorted(results.items())), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        print(f"{name} {results[name]['version']}: {results[name]['outcome']}", flush=True)
        failures += not results[name]["works"]
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())

"""Runs a short training or search of each outside client in a virtual environment of its own.

    python benchmarks/interop/run.py tianshou optuna     these; without names, all
    python benchmarks/interop/run.py --table             the table of docs/interop.md

A client is a script ``with_NAME.py`` beside this file. Its head names what it needs, in the form of scripts with
dependencies (PEP 723): this package, then the client, then others. Lines that are there for this package alone end with
``# glue``. Its last line of output is what came of it; versions and outcomes are kept in ``results.json``. Environments
are made in ``build/interop`` and kept, too.
"""

from __future__ import annotations

import argparse
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


def needs(script: Path) -> list[str]:
    """What the head of a script says that it needs."""
    lines = re.findall(r"^# (\w.*)$", script.read_text(encoding="utf-8").split("# ///\n")[0], re.MULTILINE)
    found: list[str] = tomllib.loads("\n".join(lines))["dependencies"]
    return found


def glue(script: Path) -> int:
    """How many lines of a script are there for this package alone."""
    return sum(line.endswith("# glue") for line in script.read_text(encoding="utf-8").splitlines())


def client_of(script: Path) -> str:
    """The package on the index that a script tries."""
    return re.split(r"[\[<>=]", needs(script)[1])[0]


def run(name: str) -> dict[str, Any]:
    """Makes the environment, unless it is there, and runs the script."""
    script, folder = scripts()[name], ENVIRONMENTS / name
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    constraints = str(ROOT / "constraints.txt")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--constraint", constraints]
    try:
        if not python.exists():
            venv.create(folder, with_pip=True)
        others = [need for need in needs(script) if need != "ecnas-gym"]
        if (
            "torch" in others
        ):  # first, from the constraints: what depends on it would choose a build of several gigabytes
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
    shown = subprocess.run(
        [python, "-m", "pip", "show", client_of(script)], capture_output=True, text=True, check=False
    )
    version = re.search(r"^Version: (.*)$", shown.stdout, re.MULTILINE)
    return {
        "client": client_of(script),
        "version": version[1] if version else None,
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
        "works": works,
        "outcome": outcome,
    }


def table() -> str:
    """What was found, in Markdown."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    lines = ["| client | version | lines of glue | what came of it |", "|---|---|---:|---|"]
    for name, script in scripts().items():
        found = results[name]
        link = f"[{found['client']}](../benchmarks/interop/{script.name})"
        told = found["outcome"] if found["works"] else f"did not run: {found['outcome']}"
        lines.append(f"| {link} | {found['version'] or '–'} | {glue(script)} | {told.replace('|', chr(92) + '|')} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"out of {', '.join(scripts())}; all by default")
    parser.add_argument("--table", action="store_true", help="print what was found, and run nothing")
    arguments = parser.parse_args()
    if arguments.table:
        print(table())
        return 0
    if unknown := set(arguments.names) - scripts().keys():
        parser.error(f"NAME must be out of {', '.join(scripts())}, got {', '.join(sorted(unknown))}")
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

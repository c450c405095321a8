"""Methods: the contract that searchers and controllers fulfil, their names, and their identity.

A method is a (frozen) dataclass whose fields are its settings, with a function ``run(evaluate, rng)``, and optionally
one for many runs at once (:class:`ManyRuns`). It is named by

* ``"module:Class"``, such as ``"ecnas.search:RandomSearch"``;
* ``"path/to/file.py:Class"``;
* the name of an entry point of the group ``ecnas.methods``, such as ``"edit"`` or ``"RandomSearch"``.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import platform
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, cast, runtime_checkable

import numpy as np

from ecnas.errors import ECNASError
from ecnas.files import read_toml, sha256_of

if TYPE_CHECKING:
    from ecnas.runs.evaluator import Evaluator

GROUP: Final = "ecnas.methods"
"""The group of entry points for methods of installed packages."""


class Method(Protocol):
    """A searcher or controller: a (frozen) dataclass whose fields are its settings."""

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until ``evaluate`` raises :class:`~ecnas.errors.BudgetExhaustedError`.

        Args:
            evaluate: Trains cells; the only source of metrics.
            rng: The only source of randomness.
        """


@runtime_checkable
class ManyRuns(Protocol):
    """A method that does many runs at once, faster than one by one. Sweeps use this.

    Every run must be identical to the one that :meth:`Method.run` makes with the same evaluator and generator,
    independently of the other runs.
    """

    def run_many(self, evaluates: Sequence[Evaluator], rngs: Sequence[np.random.Generator]) -> None:
        """Searches until each evaluator has raised :class:`~ecnas.errors.BudgetExhaustedError`.

        Args:
            evaluates: One per run. Their spaces and fidelities are the same; their benchmarks may differ.
            rngs: One per run.
        """


OUTPUT: Final = types.MappingProxyType({"ecnas.output": True})
"""Metadata of a method's field that names a file which a run writes (``field(default=None, metadata=OUTPUT)``).

Such a field does not identify the run: the same run may write its file anywhere, or not at all.
"""


def _is_output(field: dataclasses.Field[Any]) -> bool:
    return OUTPUT.items() <= field.metadata.items()


def outputs(method: Method) -> list[Path]:
    """The files that a run of a method writes beside its record."""
    files = [getattr(method, field.name) for field in _fields(method) if _is_output(field)]
    return [Path(file) for file in files if file is not None]


def _fields(method: Method) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(method)  # type: ignore[arg-type]  # every method is a dataclass


class MethodError(ECNASError, ValueError):
    """A name or settings do not define a method."""


# ---------------------------------------------------------------------------------------------------------------------
# From a name to a method


def find_method(use: str, folder: Path | None = None) -> type[Method]:
    """The class with a name.

    Args:
        use: As in the module's docstring.
        folder: The folder to which paths are relative; the working directory by default.

    Raises:
        MethodError: There is no such module, file, class or entry point, or it is not a method; the message says which.
    """
    place, colon, name = use.rpartition(":")
    if not colon:
        return _of_entry_point(use)
    module = _of_file((folder or Path()) / Path(place).expanduser()) if place.endswith(".py") else _of_module(place)
    try:
        found = functools.reduce(getattr, name.split("."), module)
    except AttributeError:
        near = difflib.get_close_matches(name, [n for n, v in vars(module).items() if isinstance(v, type)], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise MethodError(f"{place} has no class {name!r}{hint}") from None
    return _checked(found, use)


def _checked(found: object, use: str) -> type[Method]:
    if not (isinstance(found, type) and dataclasses.is_dataclass(found) and callable(getattr(found, "run", None))):
        raise MethodError(f"{use!r} must be a dataclass with a function run(self, evaluate, rng), got {found!r}")
    return cast("type[Method]", found)


def _of_entry_point(name: str) -> type[Method]:
    known = {entry.name: entry for entry in importlib.metadata.entry_points(group=GROUP)}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise MethodError(
            f"unknown method {name!r}.{hint} Allowed: 'module:Class', 'path/to/file.py:Class', or one of "
            f"{', '.join(sorted(known))}"
        )
    try:
        return _checked(known[name].load(), name)
    except ImportError as error:
        raise MethodError(_import_failed(name, error)) from error


def lacking(kind: type[Method]) -> list[str]:
    """Missing packages that a method of ours imports when it runs; unknown for other methods."""
    if kind.__module__.partition(".")[0] not in ("ecnas", "ecnas_gym"):
        return []
    return [name for name in _packages(kind.__module__) if importlib.util.find_spec(name) is None]


def _of_module(name: str) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MethodError(_import_failed(name, error)) from error
    except Exception as error:
        raise MethodError(f"{name} cannot be imported ({type(error).__name__}: {error})") from error


def _import_failed(name: str, error: ImportError) -> str:
    missing = getattr(error, "name", None) or ""
    if missing and not name.startswith(missing.partition(".")[0]):
        return f"{name} needs {missing!r}, which is not installed (pip install 'ecnas-gym[agents]' for ours)"
    return f"{name} cannot be imported ({error})"


def _of_file(path: Path) -> types.ModuleType:
    path = path.resolve()
    # Named by its path, so that two files of one name are two modules.
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    if not path.is_file():
        raise MethodError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses look their module up
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # it may import its neighbours, as a script may
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise MethodError(f"{path} cannot be imported ({type(error).__name__}: {error})") from error
    return module


# ---------------------------------------------------------------------------------------------------------------------
# From settings to a method


def make_method(kind: type[Method], settings: Mapping[str, Any]) -> Method:
    """A method with settings from a TOML file.

    Raises:
        MethodError: Settings are unknown, or their values have a wrong type or are refused; the message names all.
    """
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    wrong, arguments = [], {}
    for name, value in settings.items():
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            wrong.append(f"unknown setting {name!r}{hint}")
            continue
        try:
            arguments[name] = _converted(value, hints[name])
        except TypeError:
            wrong.append(f"{name} must be {_spelled(hints[name])}, got {value!r}")
    if wrong:
        raise MethodError(f"{'; '.join(wrong)} (settings of {kind.__name__}: {', '.join(fields) or 'none'})")
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise MethodError(str(error)) from error


def tuned_settings(kind: type[Method]) -> dict[str, Any]:
    """The settings of a method in the file ``tuned.toml`` beside its source, in the table of its class's name.

    Raises:
        MethodError: There are none.
    """
    path = Path(inspect.getfile(kind)).with_name("tuned.toml")
    try:
        found = read_toml(path).get(kind.__name__)
    except FileNotFoundError:
        found = None
    if not isinstance(found, dict):
        raise MethodError(f"there are no tuned settings of {kind.__name__} ({path} has no [{kind.__name__}])")
    return found


def _converted(value: Any, wanted: Any) -> Any:
    """A TOML value as the type of a field; TypeError if it does not have that type."""
    if isinstance(wanted, dataclasses.InitVar):
        wanted = wanted.type
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is typing.Annotated:
        return _converted(value, parts[0])
    if origin in (typing.Union, types.UnionType):
        for part in parts:
            try:
                return _converted(value, part)
            except TypeError:
                continue
        raise TypeError
    if origin is Literal:
        if any(value == part and type(value) is type(part) for part in parts):
            return value
        raise TypeError
    if origin in (tuple, list) and isinstance(value, list | tuple):
        if origin is tuple and not (len(parts) == 2 and parts[1] is Ellipsis):
            if len(parts) != len(value):
                raise TypeError
            return tuple(_converted(entry, part) for entry, part in zip(value, parts, strict=True))
        return origin(_converted(entry, parts[0] if parts else Any) for entry in value)
    if wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if wanted is int and isinstance(value, bool):
        raise TypeError
    if wanted is Path and isinstance(value, str):
        return Path(value)
    if wanted is tuple and isinstance(value, list):
        return tuple(value)
    expected = origin or wanted
    if isinstance(expected, type) and not isinstance(value, expected):
        raise TypeError
    return value


def _spelled(wanted: Any) -> str:
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_spelled(part) for part in parts)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, parts))
    if origin is typing.Annotated:
        return _spelled(parts[0])
    return wanted.__name__ if isinstance(wanted, type) and not parts else str(wanted).replace("typing.", "")


# ---------------------------------------------------------------------------------------------------------------------
# From a method to what makes it the same one


def display_name(method: Method | type[Method]) -> str:
    """Default name of a method in tables and plots: its ``name``, or that of its class."""
    kind = method if isinstance(method, type) else type(method)
    return str(getattr(kind, "name", kind.__name__))


def describe_method(method: Method) -> dict[str, Any]:
    """The identity of a method, as plain JSON values: its class, the digest of its source, and all settings.

    A file named by a setting is described by the digest of its content. Outputs (:data:`OUTPUT`) are left out.
    """
    kind = type(method)
    return {
        "use": f"{kind.__module__}:{kind.__qualname__}",
        "class": kind.__qualname__,
        "source": source_digest(kind.__module__),
        "settings": {
            field.name: _plain(getattr(method, field.name)) for field in _fields(method) if not _is_output(field)
        },
    }


def _plain(value: Any) -> Any:
    """A setting as a JSON value."""
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    if isinstance(value, Path):
        return f"sha256:{sha256_of(value)}"
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"class": type(value).__qualname__} | {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    return repr(value)


@functools.cache
def source_digest(module: str) -> str:
    """SHA-256 over a module's file and all files of its folder that it imports, directly or indirectly."""
    digest = hashlib.sha256()
    for path in _sources(module):
        digest.update(path.read_bytes())
        digest.update(b"\0")
    return digest.hexdigest()


@functools.cache
def versions(module: str) -> dict[str, str]:
    """Versions on which a run of a method depends: ours, numpy's, Python's, and those of its imports."""
    import ecnas

    found = {"python": platform.python_version(), "ecnas-gym": ecnas.__version__, "numpy": np.__version__}
    for name in _packages(module):
        for distribution in (name, _DISTRIBUTIONS.get(name, name)):
            try:
                found[distribution] = importlib.metadata.version(distribution)
                break
            except (importlib.metadata.PackageNotFoundError, ValueError):
                continue
    return found


def _packages(module: str) -> list[str]:
    """Third-party packages, except numpy, that a module and its neighbours import, anywhere in their code."""
    names = {name.partition(".")[0] for path in _sources(module) for name, level in _imports(path) if not level}
    neighbours = {path.stem for path in _sources(module)}
    return sorted(names - neighbours - set(sys.stdlib_module_names) - {"ecnas", "ecnas_gym", "numpy"})


_DISTRIBUTIONS: Final = {"sklearn": "scikit-learn", "PIL": "pillow", "yaml": "pyyaml"}
"""Packages whose import name differs from their distribution name."""


def _sources(module: str) -> list[Path]:
    """The file of a module, and the files of its own folder that it imports, directly or not; in a fixed order."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return []
    first = Path(file).resolve()
    found = {first: None}
    waiting = [first]
    for path in waiting:  # grows as it is walked
        for name, level in _imports(path):
            neighbour = first.parent / f"{name.rpartition('.')[2]}.py"
            if neighbour not in found and neighbour.is_file() and _is_neighbour(name, level, first.parent):
                found[neighbour] = None
                waiting.append(neighbour)
    return [first, *sorted(set(found) - {first})]


def _is_neighbour(name: str, level: int, folder: Path) -> bool:
    """Whether an import is from a module's own folder: relative, as a script imports, or by the package it lies in."""
    if level == 1 or "." not in name:
        return True
    parent = sys.modules.get(name.rpartition(".")[0])
    return any(Path(entry).resolve() == folder for entry in getattr(parent, "__path__", ()))


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    """Names of the modules that a file imports, and how many dots stand before each."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.module, node.level
            yield from ((f"{node.module}.{a.name}" if node.module else a.name, node.level) for a in node.names)


__all__ = [
    "GROUP",
    "OUTPUT",
    "ManyRuns",
    "Method",
    "MethodError",
    "describe_method",
    "display_name",
    "find_method",
    "make_method",
    "outputs",
    "source_digest",
    "tuned_settings",
    "versions",
]

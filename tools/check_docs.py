"""Fails when a public name lacks a docstring, or a function or class lacks a runnable example.

Public are the names in `retrograd.__all__` and the classes and functions of the public modules.

    python tools/check_docs.py
"""

from __future__ import annotations

import importlib
import inspect
import sys
import types
from collections.abc import Iterator

PUBLIC_MODULES = ("nn", "losses", "metrics", "optim", "random", "datasets")


def find_module(package: types.ModuleType, name: str) -> object | None:
    """A public module, as the user reaches it: `rg.nn`, whichever file it lies in."""
    if hasattr(package, name):
        return getattr(package, name)
    try:
        return importlib.import_module(f"{package.__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{package.__name__}.{name}":
            raise
        return None


def list_names(module: object) -> list[str]:
    """`__all__` where there is one, else the public functions and classes of our own."""
    declared = getattr(module, "__all__", None)
    if declared is not None:
        return list(declared)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or callable(value))
        and str(getattr(value, "__module__", "")).startswith("retrograd")
    ]


def find_problem(value: object) -> str | None:
    """What the documentation of a public name lacks; None when it lacks nothing."""
    if not callable(value) and not isinstance(value, types.ModuleType):
        return None  # A constant cannot carry a docstring.
    # A class that inherits its docstring has none: it would describe the parent.
    text = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
    if not text or not text.strip():
        return "no docstring"
    if isinstance(value, types.ModuleType):
        return None
    if inspect.isclass(value) and issubclass(value, BaseException):
        return None  # An error is met, not called.
    return None if ">>>" in text else "no example (a line that begins with >>>)"


def check(package: types.ModuleType) -> Iterator[str]:
    """Every public name that lacks something, with what it lacks."""
    if not hasattr(package, "__all__"):
        yield f"{package.__name__}: no __all__"
    groups: list[tuple[str, object]] = [(package.__name__, package)]
    for name in PUBLIC_MODULES:
        module = find_module(package, name)
        if module is None:
            yield f"{package.__name__}.{name}: does not exist"
        else:
            groups.append((f"{package.__name__}.{name}", module))
    seen: set[int] = set()
    for prefix, module in groups:
        for name in list_names(module):
            if not hasattr(module, name):
                yield f"{prefix}.{name}: is in __all__ but does not exist"
                continue
            value = getattr(module, name)
            if id(value) in seen:
                continue
            seen.add(id(value))
            problem = find_problem(value)
            if problem:
                yield f"{prefix}.{name}: {problem}"


def main() -> int:
    problems = list(check(importlib.import_module("retrograd")))
    for problem in problems:
        print(problem)
    print(
        f"{len(problems)} public names lack documentation" if problems else "documentation: whole"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""Fails when a file is longer than 400 lines, unless tools/long_files.txt states a reason.

A long file asks to be split: one that nobody reads to the end hides its mistakes. An exception
that is no longer needed fails too, so that the list stays true.

    python tools/check_file_length.py [ROOT]
"""

from __future__ import annotations

import sys
from pathlib import Path

LIMIT = 400
FOLDERS = ("src", "tests", "oracles", "benchmarks", "applications", "tools")
SUFFIXES = (".py", ".sh")
EXCEPTIONS = Path("tools/long_files.txt")


def find_files(root: Path) -> list[Path]:
    """The files that the limit holds for, relative to the root, sorted."""
    found = [
        path.relative_to(root)
        for folder in FOLDERS
        for path in (root / folder).rglob("*")
        if path.suffix in SUFFIXES and path.is_file() and "__pycache__" not in path.parts
    ]
    return sorted(found)


def read_exceptions(root: Path) -> tuple[dict[Path, str], list[str]]:
    """The excepted files with their reasons, and what is wrong with the list itself."""
    reasons: dict[Path, str] = {}
    problems: list[str] = []
    file = root / EXCEPTIONS
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, reason = line.partition(":")
        if not reason.strip():
            problems.append(f"{EXCEPTIONS}:{number}: no reason given; write `path: reason`")
        reasons[Path(name.strip())] = reason.strip()
    return reasons, problems


def check(root: Path) -> list[str]:
    """Every breach of the rule, one line each."""
    reasons, problems = read_exceptions(root)
    lengths = {
        path: len((root / path).read_text(encoding="utf-8").splitlines())
        for path in find_files(root)
    }
    for path, length in lengths.items():
        if length > LIMIT and path not in reasons:
            problems.append(
                f"{path}: {length} lines, {LIMIT} allowed; split it, or state in {EXCEPTIONS} "
                "why it is better whole"
            )
    for path in reasons:
        if path not in lengths:
            problems.append(f"{EXCEPTIONS}: {path} does not exist; take it off the list")
        elif lengths[path] <= LIMIT:
            problems.append(
                f"{EXCEPTIONS}: {path} has only {lengths[path]} lines; take it off the list"
            )
    return problems


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    problems = check(root)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

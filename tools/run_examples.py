"""Runs the ```python blocks of Markdown files, so that what the reader copies works.

The blocks of one file share a namespace and run in order, in a temporary folder, with warnings as
errors. Blocks with prompts (`>>>`) are left to doctest.

    python tools/run_examples.py README.md ...
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
import warnings
from pathlib import Path


def find_blocks(text: str) -> list[tuple[int, str]]:
    """The ```python blocks with the line number at which each begins (from 1)."""
    blocks: list[tuple[int, str]] = []
    lines = text.splitlines()
    start: int | None = None
    for number, line in enumerate(lines, start=1):
        if start is None and line.strip() == "```python":
            start = number + 1
        elif start is not None and line.strip() == "```":
            block = "\n".join(lines[start - 1 : number - 1]) + "\n"
            if ">>>" not in block:
                blocks.append((start, block))
            start = None
    if start is not None:
        raise ValueError(f"the block that begins at line {start - 1} is never closed")
    return blocks


def run(file: Path) -> int:
    """Runs the blocks of one file and returns how many there were."""
    blocks = find_blocks(file.read_text(encoding="utf-8"))
    namespace: dict[str, object] = {"__name__": "__main__"}
    for line, block in blocks:
        # Empty lines in front give tracebacks the line numbers of the Markdown file.
        exec(compile("\n" * (line - 1) + block, str(file), "exec"), namespace)
    return len(blocks)


def main() -> int:
    warnings.simplefilter("error")
    files = [Path(name).resolve() for name in sys.argv[1:]]
    home = Path.cwd()
    for file in files:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                count = run(file)
            except Exception:
                traceback.print_exc()
                print(f"{file.name}: an example failed")
                return 1
            finally:
                os.chdir(home)
        print(f"{file.name}: {count} examples run")
    return 0


if __name__ == "__main__":
    sys.exit(main())

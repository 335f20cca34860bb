"""The scripts behind make: they must fail when they should."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parent.parent / "tools"


def run_tool(name: str, *arguments: str, folder: Path | None = None) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(TOOLS / name), *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


# --- check_file_length.py


def make_tree(root: Path, lines: int, exceptions: str = "") -> Path:
    (root / "src").mkdir()
    (root / "tools").mkdir()
    (root / "src" / "module.py").write_text("x = 1\n" * lines, encoding="utf-8")
    (root / "tools" / "long_files.txt").write_text(exceptions, encoding="utf-8")
    return root


def test_400_lines_pass(tmp_path: Path) -> None:
    assert run_tool("check_file_length.py", str(make_tree(tmp_path, 400))) == (0, "")


def test_401_lines_fail(tmp_path: Path) -> None:
    status, output = run_tool("check_file_length.py", str(make_tree(tmp_path, 401)))
    assert status == 1
    assert output.startswith(f"{Path('src/module.py')}: 401 lines, 400 allowed")


def test_a_stated_reason_excepts_a_file(tmp_path: Path) -> None:
    root = make_tree(tmp_path, 401, "# comment\n\nsrc/module.py: one table, read as a whole\n")
    assert run_tool("check_file_length.py", str(root)) == (0, "")


@pytest.mark.parametrize(
    ("lines", "exceptions", "expected"),
    [
        (401, "src/module.py:\n", "no reason given"),
        (400, "src/module.py: was long once\n", "has only 400 lines"),
        (400, "src/gone.py: was long once\n", "does not exist"),
    ],
)
def test_an_exception_must_be_needed_and_explained(
    tmp_path: Path, lines: int, exceptions: str, expected: str
) -> None:
    status, output = run_tool("check_file_length.py", str(make_tree(tmp_path, lines, exceptions)))
    assert status == 1
    assert expected in output


# --- run_examples.py


def run_markdown(folder: Path, text: str) -> tuple[int, str]:
    file = folder / "page.md"
    file.write_text(text, encoding="utf-8")
    return run_tool("run_examples.py", str(file))


def test_blocks_run_in_order_and_share_names(tmp_path: Path) -> None:
    text = "# Page\n```python\nx = 1\n```\ntext\n```python\nassert x == 1\n```\n"
    assert run_markdown(tmp_path, text) == (0, "page.md: 2 examples run\n")


def test_a_failing_block_fails_with_its_line(tmp_path: Path) -> None:
    status, output = run_markdown(tmp_path, "# Page\n\n```python\nx = 1\nassert x == 2\n```\n")
    assert status == 1
    assert 'page.md", line 5' in output


def test_a_warning_fails(tmp_path: Path) -> None:
    text = "```python\nimport warnings\n\nwarnings.warn('old')\n```\n"
    status, output = run_markdown(tmp_path, text)
    assert status == 1
    assert "UserWarning: old" in output


def test_prompts_and_other_languages_are_left_alone(tmp_path: Path) -> None:
    text = "```python\n>>> 1 / 0\n```\n```\nmake test\n```\n```text\n1 / 0\n```\n"
    assert run_markdown(tmp_path, text) == (0, "page.md: 0 examples run\n")


def test_an_open_block_fails(tmp_path: Path) -> None:
    status, output = run_markdown(tmp_path, "```python\nx = 1\n")
    assert status == 1
    assert "never closed" in output


def test_files_are_written_elsewhere(tmp_path: Path) -> None:
    text = "```python\nfrom pathlib import Path\n\nPath('left.txt').write_text('x')\n```\n"
    assert run_markdown(tmp_path, text)[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


# --- check_docs.py

DOCUMENTED = '''
"""A package."""
__all__ = ["nn", "double", "ShapeError", "PI"]
from . import nn, losses, metrics, optim, random, datasets
PI = 3
class ShapeError(ValueError):
    """An error needs no example."""
def double(x):
    """Double.

    >>> double(1)
    2
    """
'''


def make_package(folder: Path, nn: str = '"""Layers."""', package: str = DOCUMENTED) -> Path:
    root = folder / "retrograd"
    root.mkdir()
    for name in ("losses", "metrics", "optim", "random", "datasets"):
        (root / f"{name}.py").write_text(f'"""The {name}."""\n', encoding="utf-8")
    (root / "nn.py").write_text(nn, encoding="utf-8")
    (root / "__init__.py").write_text(package, encoding="utf-8")
    return folder


def check_docs(folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(TOOLS / "check_docs.py")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder)},
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_whole_documentation_passes(tmp_path: Path) -> None:
    assert check_docs(make_package(tmp_path)) == (0, "documentation: whole\n")


@pytest.mark.parametrize(
    ("nn", "expected"),
    [
        ('"""Layers."""\ndef relu(x): pass', "retrograd.nn.relu: no docstring"),
        ('"""Layers."""\ndef relu(x):\n    """max(x, 0)"""', "retrograd.nn.relu: no example"),
        ('"""Layers."""\nclass Linear: pass', "retrograd.nn.Linear: no docstring"),
        (
            '"""L."""\nclass _A:\n    """>>> 1"""\nclass Linear(_A): pass',
            "retrograd.nn.Linear: no docstring",
        ),
        ("", "retrograd.nn: no docstring"),
        ('"""L."""\n__all__ = ["relu"]', "retrograd.nn.relu: is in __all__ but does not exist"),
    ],
)
def test_missing_documentation_fails(tmp_path: Path, nn: str, expected: str) -> None:
    status, output = check_docs(make_package(tmp_path, nn))
    assert status == 1
    assert expected in output


def test_a_missing_public_module_fails(tmp_path: Path) -> None:
    package = DOCUMENTED.replace(", datasets", "")
    folder = make_package(tmp_path, package=package)
    (folder / "retrograd" / "datasets.py").unlink()
    status, output = check_docs(folder)
    assert status == 1
    assert "retrograd.datasets: does not exist" in output


# --- find_python.sh

COMPLETE = '#!/bin/sh\necho "{version} complete"\n'
PARTIAL = '#!/bin/sh\necho "{version} partial"\n'
BROKEN_SHIM = '#!/bin/sh\necho "pyenv: python{version}: command not found" >&2\nexit 127\n'


def find_python(folder: Path, preferred: str = "", **commands: str) -> tuple[int, str]:
    """Runs the script where only these commands exist, e.g. `python3_12=COMPLETE`."""
    for name, text in commands.items():
        command = name.replace("_", ".")
        file = folder / command
        version = command.removeprefix("python")
        file.write_text(text.format(version=version if "." in version else "3.9"), encoding="utf-8")
        file.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(TOOLS / "find_python.sh"), *([preferred] if preferred else [])],
        capture_output=True,
        text=True,
        env={"PATH": str(folder)},
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_newest_python_wins(tmp_path: Path) -> None:
    found = find_python(tmp_path, python3_11=COMPLETE, python3_12=COMPLETE)
    assert found == (0, "python3.12\n")


def test_a_preferred_version_wins(tmp_path: Path) -> None:
    found = find_python(tmp_path, "3.11", python3_11=COMPLETE, python3_12=COMPLETE)
    assert found == (0, "python3.11\n")


def test_a_shim_that_fails_is_passed_over(tmp_path: Path) -> None:
    found = find_python(tmp_path, python3_13=BROKEN_SHIM, python3_11=COMPLETE)
    assert found == (0, "python3.11\n")


def test_a_complete_python_is_preferred_to_a_newer_partial_one(tmp_path: Path) -> None:
    found = find_python(tmp_path, python3_13=PARTIAL, python3_11=COMPLETE)
    assert found == (0, "python3.11\n")


def test_a_missing_venv_is_told_with_its_package(tmp_path: Path) -> None:
    status, output = find_python(tmp_path, python3_12=PARTIAL)
    assert status == 1
    assert "lacks the modules venv or ensurepip" in output
    assert "sudo apt-get install python3.12-venv" in output


def test_an_old_python_is_named(tmp_path: Path) -> None:
    status, output = find_python(tmp_path, python3=COMPLETE)
    assert status == 1
    assert "needs Python 3.11 or newer" in output
    assert "Too old: python3 (3.9)." in output


def test_no_python_at_all_is_told(tmp_path: Path) -> None:
    status, output = find_python(tmp_path)
    assert status == 1
    assert "none was found" in output
    assert "make test PYTHON=" in output

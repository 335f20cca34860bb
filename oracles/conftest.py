"""The oracles against PyTorch: run apart from the tests, with `make oracles`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# So that the adapters beside this file are found, whatever pytest's way of importing.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """PyTorch on one thread: the samples are tiny."""
    import torch

    torch.set_num_threads(1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tables that the oracles made, also when everything passed."""
    for title, lines in TABLES.items():
        terminalreporter.section(title)
        for line in lines:
            terminalreporter.write_line(line)


# Title -> lines, filled by the oracles.
TABLES: dict[str, list[str]] = {}


@pytest.fixture(scope="session")
def tables() -> dict[str, list[str]]:
    return TABLES

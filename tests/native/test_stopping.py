"""Ctrl-C while machine code runs: loops end, and nothing else does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrograd.runtime import stopping

ROOT = Path(__file__).parents[2]
LIMIT = 120
"""Seconds: a loop that does not end must not hold up the tests."""


def run(what: str, threads: int) -> Any:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        "RETROGRAD_THREADS": str(threads),
    }
    result = subprocess.run(
        [sys.executable, "-m", "tests.native.interrupted", what],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_loops_end(threads: int) -> None:
    """Within 100 ms on a machine with nothing else to do."""
    seconds = run("loops", threads)
    assert len(seconds) == 6 and all(0 <= value < 5 for value in seconds.values())


@pytest.mark.parametrize("threads", [1, 2])
def test_a_step_that_is_broken_off_changes_nothing(threads: int) -> None:
    assert run("state", threads) == {"same": True}


def test_other_handlers_and_threads_are_left_alone() -> None:
    found = run("others", 1)
    assert sorted(found["results"]) == [-1.0, found["count"], found["count"]]
    assert found["seen"] == 1


def test_a_short_call_that_was_stopped_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else threads that share a loop would stop in each later call as well."""
    monkeypatch.setattr(stopping, "_would_raise", lambda: False)
    words = np.zeros(3, np.int64)
    found = stopping.Stopping(words, False, lambda: pytest.fail("no handler is wanted"))
    found.begin()
    words[1:] = 1  # as the first thread tells the others
    found.end()
    found.begin()
    assert words.tolist() == stopping.QUIET_WORDS

"""Processes that compile, fork and are killed while the files of their cache break."""

from __future__ import annotations

from tests.native.storm import run


def test_processes_with_one_cache_end_cleanly_and_with_the_same_bits() -> None:
    outcome = run(processes=40, at_once=3, seed=1)
    assert outcome.failures == []
    assert set(outcome.ends) == {"plain", "fork", "busy", "killed"}

"""The training steps of the benchmarks give the same bits on any number of threads, every time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from retrograd import config, tree
from retrograd.workloads import WORKLOADS, make_step

STEPS = 20


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    yield
    config.get_config.cache_clear()


def train(name: str, threads: int, steps: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """A hash of the losses and of all that was trained."""
    monkeypatch.setenv("RETROGRAD_THREADS", str(threads))
    config.get_config.cache_clear()
    step, arguments = make_step(WORKLOADS[name], "native")
    total = hashlib.sha256()
    for _ in range(steps):
        total.update(step(*arguments).numpy().tobytes())
    (program,) = (held.staged.graph.cache["native"] for held in step.programs.values())
    assert program.threads == (threads if program.shared else None)
    model, optimizer = arguments[:2]
    for leaf in tree.leaves([model.state(), optimizer.state]):
        total.update(leaf.numpy().tobytes())
    return total.hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKLOADS)
def test_threads_and_repetition_do_not_change_bits(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(name, 1, STEPS, monkeypatch)
    for threads in (1, 2, 3, 4):  # the first once more: a run is repeated
        assert train(name, threads, STEPS, monkeypatch) == first, f"{threads} threads"


def test_more_steps_give_other_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert train("tiny", 1, 2, monkeypatch) != train("tiny", 1, 3, monkeypatch)

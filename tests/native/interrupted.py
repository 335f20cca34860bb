"""Calls that Ctrl-C ends, or does not; run as a script by test_stopping.py, with a time limit."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import retrograd as rg
from retrograd import nn, optim
from retrograd.native import get_program

ENDLESS = 2_000_000_000
DELAY = 0.2


def press(delay: float = DELAY) -> threading.Thread:
    """Ctrl-C, after a while."""

    def wait() -> None:
        time.sleep(delay)
        pressed.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


pressed: list[float] = []


def interrupt(function: Callable[..., Any], *arguments: Any) -> float:
    """Seconds from Ctrl-C to KeyboardInterrupt; the program is compiled before."""
    get_program(function.graph(*arguments))  # type: ignore[attr-defined]
    thread = press()
    try:
        function(*arguments)
    except KeyboardInterrupt:
        seconds = time.perf_counter() - pressed[-1]
    thread.join()
    return seconds


def loops() -> Any:
    """Loops of all kinds end, and the programs run again afterwards."""

    def repeat(step: Callable[[Any], Any], length: int) -> Any:
        return lambda x: rg.scan(lambda c, _: (step(c), None), x, None, length=length)[0]

    halve = rg.compile(lambda x: rg.while_loop(lambda n: n < 2.0, lambda n: n * 0.5, x))
    small, wide = rg.ones((4,)), rg.ones((256, 256))
    weights = rg.ones((256, 256)) * 1e-3
    apart = repeat(lambda c: rg.tanh(c @ weights), ENDLESS)
    meeting = repeat(lambda c: rg.tanh(c @ weights) - c.mean(axis=0), ENDLESS)
    inner = repeat(lambda c: c * 0.5 + c.mean(), ENDLESS)
    found = {
        "while": interrupt(halve, rg.array(1.0)),
        "scan": interrupt(rg.compile(repeat(lambda c: c * 0.5, ENDLESS)), small),
        "cut": interrupt(rg.compile(apart), wide),
        "together": interrupt(rg.compile(meeting), wide),
        "inside": interrupt(rg.compile(repeat(inner, 3)), small),
        "while inside": interrupt(rg.compile(repeat(lambda c: halve(c[0]) + c, 3)), small),
    }
    assert float(halve(rg.array(4.0))) == 4.0
    few = rg.compile(repeat(lambda c: rg.tanh(c @ weights) - c.mean(axis=0), 3))
    assert few(wide).shape == wide.shape
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return found


def state() -> Any:
    """A training step that is broken off has changed nothing, and can be done again."""
    rg.seed(0)

    def make() -> tuple[Any, Any]:
        rg.seed(0)
        return nn.Linear(4, 4), optim.Adam(1e-2)

    @rg.compile
    def step(model: Any, optimizer: Any, x: Any, limit: Any) -> Any:
        def loss(model: Any) -> Any:
            return (model(x) ** 2).sum()

        value, gradients = rg.value_and_grad(loss)(model)
        optimizer.update(model, gradients)
        waited = rg.while_loop(lambda n: n < limit, lambda n: n + 1.0, value * 0.0)
        return value + waited

    x = rg.ones((3, 4))
    model, optimizer = make()
    other, another = make()
    losses = []
    for number in range(4):
        if number:
            before = {k: v.numpy().copy() for k, v in model.state().items()}
            interrupt(step, model, optimizer, x, rg.array(np.float32("inf")))
            for name, value in model.state().items():
                np.testing.assert_array_equal(value.numpy(), before[name])
        losses.append(float(step(model, optimizer, x, rg.array(1.0))))
    expected = [float(step(other, another, x, rg.array(1.0))) for _ in range(4)]
    return {"same": losses == expected}


def others() -> Any:
    """A handler of the user's own, and calls in other threads, are left alone."""
    count = 30_000_000
    scan = rg.compile(lambda x: rg.scan(lambda c, _: (c + 1.0, None), x, None, length=count)[0])
    wide = rg.array(np.zeros(1))
    results: list[float] = []
    worker = threading.Thread(target=lambda: results.append(float(scan(wide)[0])))
    get_program(scan.graph(wide))
    worker.start()
    time.sleep(0.05)
    try:
        press(0.0).join()
        time.sleep(1.0)
    except KeyboardInterrupt:
        results.append(-1.0)
    worker.join()
    seen: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    thread = press(0.05)
    results.append(float(scan(wide)[0]))
    thread.join()
    return {"results": results, "count": count, "seen": len(seen)}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))

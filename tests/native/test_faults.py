"""Compiled programs whose weights change under them, that are broken off, and odd arguments."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn, optim, quick
from retrograd.errors import ArgumentTypeError, StateError

PREAMBLE = """
import sys, threading, time
import numpy as np
import retrograd as rg
from retrograd import nn, optim

sys.setswitchinterval(1e-5)
over = threading.Event()
weight = np.zeros((512, 512), np.float32)
x = np.ones((64, 512), np.float32)

def replace():
    while not over.is_set():
        layer.weight = rg.array(weight)
        others = [np.ones_like(weight) for _ in range(4)]
        time.sleep(5e-4)
        assert all((other == 1).all() for other in others)

thread = threading.Thread(target=replace)
end = time.monotonic() + 2
"""

STEPS = """
model = layer = nn.Linear(512, 512)
optimizer = optim.SGD(1e-3)

@rg.compile
def step(model, optimizer, x):
    gradients = rg.grad(lambda model: (model(x) ** 2).mean())(model)
    optimizer.update(model, gradients)

for _ in range(3):
    step(model, optimizer, x)
thread.start()
while time.monotonic() < end:
    step(model, optimizer, x)
"""

FIT = """
layer = nn.Linear(512, 512)
model = nn.Sequential(layer, nn.Linear(512, 4))
layer.freeze()
trainer = rg.Trainer(model, "mse", optim.SGD(1e-3))
y = np.zeros((64, 4), np.float32)
trainer.fit(x, y, epochs=1, batch_size=8, verbose=False)
thread.start()
while time.monotonic() < end:
    trainer.fit(x, y, epochs=20, batch_size=8, verbose=False)
"""


@pytest.mark.parametrize("work", [STEPS, FIT], ids=["steps", "fit"])
def test_another_thread_may_replace_weights_while_a_step_uses_their_memory(work: str) -> None:
    script = PREAMBLE + work + "over.set()\nthread.join()\n"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert "AssertionError" not in result.stderr


@pytest.mark.parametrize("executor", ["native", "numpy"])
def test_arguments_in_the_other_byte_order(executor: str) -> None:
    other = np.dtype(np.float32).newbyteorder()
    function: Any = rg.compile(lambda x: x * 2, executor=executor)
    for _ in range(2):
        assert function(np.arange(3).astype(other)).tolist() == [0.0, 2.0, 4.0]
    assert function(np.arange(3, dtype=np.float32)).tolist() == [0.0, 2.0, 4.0]


def test_a_call_that_is_broken_off_leaves_no_pointers_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @rg.compile
    def step(model: Any, optimizer: Any, x: Any) -> Any:
        gradients = rg.grad(lambda model: (model(x) ** 2).mean())(model)
        optimizer.update(model, gradients)

    x = np.ones((4, 3), np.float32)
    one, other = nn.Linear(3, 2), nn.Linear(3, 2)
    rules = optim.SGD(0.1), optim.SGD(0.1)
    for _ in range(4):
        step(one, rules[0], x)
    for _ in range(4):
        step(other, rules[1], x)
    step(one, rules[0], x)
    step(one, rules[0], x)

    def interrupt(*_: Any) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(quick, "is_alone", interrupt)
        with pytest.raises(KeyboardInterrupt):
            step(other, rules[1], x)
    gradients = rg.grad(lambda model: (model(x) ** 2).mean())(one)
    expected = np.asarray(one.weight) - 0.1 * np.asarray(gradients["weight"])
    kept = np.array(other.weight)
    step(one, rules[0], x)
    np.testing.assert_allclose(one.weight, expected, rtol=1e-5)
    assert np.array_equal(other.weight, kept)


def test_a_profile_says_which_index_is_out_of_range() -> None:
    report = rg.compile(lambda x, i: x[i]).report(rg.ones((2,)), rg.array(7))
    with pytest.raises(rg.errors.IndexRangeError, match="index 7 is out of range for size 2"):
        report.profile(repeats=2)


def test_a_call_inside_of_its_own_call_is_an_error_and_no_deadlock() -> None:
    """A signal handler runs in the thread that it interrupts."""
    function = rg.compile(lambda x: (x * 2).sum())
    x = rg.ones((4,))
    function(x)
    program = next(iter(function.programs.values())).staged.graph.cache["native"]
    with program.lock, pytest.raises(StateError, match="inside of a call of it"):
        function(x)
    assert float(function(x)) == 8.0


@pytest.mark.parametrize("number", [2**70, -(2**2000)])
def test_whole_numbers_beyond_64_bits_are_told(number: int) -> None:
    function = rg.compile(lambda x, k: x * k)
    for _ in range(2):
        with pytest.raises(ArgumentTypeError, match="64 bits"):
            function(rg.ones((2,)), number)
        function(rg.ones((2,)), 3)

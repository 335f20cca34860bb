"""Programs on several threads: the same bits on any number of them; errors leave nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.codegen.pieces import cut, is_worth_sharing
from retrograd.ir.loops import Access, Contraction, Expression, LoopNest, Schedule, Store
from retrograd.ir.types import float32

PROGRAM = """
import hashlib, json
import numpy as np
import retrograd as rg
from retrograd import losses, nn, optim

rg.seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    nn.Dropout(0.2), nn.Linear(16 * 7 * 7, 96), nn.Tanh(), nn.Linear(96, 10),
)
optimizer = optim.Adam(1e-3)
numbers = np.random.default_rng(0)
x = numbers.normal(size=(64, 14, 14, 1)).astype("float32")
y = numbers.integers(0, 10, 64)

@rg.compile(executor="native")
def step(model, optimizer, x, y):
    loss, gradients = rg.value_and_grad(lambda m: losses.cross_entropy(m(x), y))(model)
    optimizer.update(model, gradients)
    return loss

found = [float(step(model, optimizer, x, y)).hex() for _ in range(20)]
digest = hashlib.sha256()
for path, array in sorted(model.named_state().items()):
    digest.update(np.asarray(array).tobytes())
program = next(iter(step.programs.values())).staged.graph.cache["native"]
print(json.dumps([found, digest.hexdigest(), program.shared]))
"""


SEQUENCES = """
import hashlib, json
import numpy as np
from retrograd.workloads import WORKLOADS, make_step

found = {}
for name in ("rnn", "lstm", "gru", "gpt"):
    step, arguments = make_step(WORKLOADS[name], "native")
    losses = [float(step(*arguments)) for _ in range(4)]
    digest = hashlib.sha256()
    for path, array in sorted(arguments[0].named_state().items()):
        digest.update(np.asarray(array).tobytes())
    program = next(iter(step.programs.values())).staged.graph.cache["native"]
    found[name] = [[loss.hex() for loss in losses], digest.hexdigest(), program.shared]
print(json.dumps(found))
"""


def run_with(threads: int, program: str = PROGRAM) -> Any:
    environment = {**os.environ, "RETROGRAD_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=environment,
    )
    return json.loads(done.stdout)


def test_twenty_steps_give_the_same_bits_on_one_to_four_threads() -> None:
    alone = run_with(1)
    assert alone[2], "the program is too small to be shared: the test shows nothing"
    assert float.fromhex(alone[0][-1]) < float.fromhex(alone[0][0])
    for threads in (2, 3, 4):
        assert run_with(threads) == alone


def test_networks_of_sequences_give_the_same_bits_on_one_to_four_threads() -> None:
    alone = run_with(1, SEQUENCES)
    for name, (losses, _, shared) in alone.items():
        assert shared, f"{name} is too small to be shared: the test shows nothing of it"
        assert float.fromhex(losses[-1]) < float.fromhex(losses[0])
    for threads in (2, 3, 4):
        assert run_with(threads, SEQUENCES) == alone


def test_an_index_out_of_range_stops_all_threads_and_changes_nothing() -> None:
    @rg.compile(executor="native")
    def look_up(model: Any, x: Any, index: Any) -> Any:
        rows = rg.take(x, index, axis=0)
        model.layers[0].weight = model.layers[0].weight + (rows @ model.layers[0].weight).mean()
        return rows.sum()

    model = rg.nn.Sequential(rg.nn.Linear(256, 256))
    x = np.random.default_rng(0).normal(size=(512, 256)).astype("float32")
    good = np.arange(512)
    for _ in range(3):
        look_up(model, x, good)
    before = np.array(model.layers[0].weight)
    for _ in range(3):
        with pytest.raises(rg.RetrogradError, match="out of range"):
            look_up(model, x, good + 1)
    assert np.array_equal(model.layers[0].weight, before)
    look_up(model, x, good)
    assert not np.array_equal(model.layers[0].weight, before)


def nest(extents: tuple[int, ...], reduced: tuple[bool, ...], **options: Any) -> LoopNest:
    strides = options.get("strides", (extents[-1], 1)[-len(extents) :])
    load = Expression("load", float32, access=Access(0, 0, strides))
    out = tuple(0 if r else s for r, s in zip(reduced, strides, strict=True))
    store = Store(Access(1, 0, out), 0, "sum" if any(reduced) else None)
    return LoopNest(extents, reduced, (load,), (store,))


def test_cuts_follow_from_the_shape() -> None:
    assert cut(nest((8, 16), (False, False))) is None  # too small
    pieces = cut(nest((1024, 4096), (False, False)))
    assert pieces is not None
    assert (pieces.axis, pieces.count) == (0, 8)
    assert pieces.kernel.extents == (128, 4096)  # type: ignore[union-attr]
    assert (pieces.units, pieces.move(Access(0, 0, (4096, 1)))) == (1024, 4096)
    uneven = cut(nest((1023, 4096), (False, False)))
    assert uneven is not None and uneven.uneven and not pieces.uneven
    assert (uneven.axis, uneven.count, uneven.units) == (0, 8, 1023)
    flat = cut(nest((1_000_003,), (False,), strides=(1,)))
    assert flat is not None and flat.uneven
    assert (flat.unit, flat.units) == (16, 62_501)
    only_columns = cut(nest((4096, 1024), (True, False)))
    assert only_columns is not None
    assert only_columns.axis == 1
    assert cut(nest((4096, 1000), (True, False))) is None or (
        cut(nest((4096, 1000), (True, False))).kernel.extents[1] % 16 == 0  # type: ignore[union-attr]
    )
    assert cut(nest((4096, 1024), (True, True))) is None


def test_a_contraction_is_cut_where_least_is_read_again() -> None:
    # 128 x 256 x 784: the second operand is the larger one, so its columns are cut.
    out = Access(2, 0, (256, 1, 0))
    c = Contraction(
        (128, 256, 784),
        (False, False, True),
        float32,
        Access(0, 0, (784, 0, 1)),
        Access(1, 0, (0, 1, 256)),
        out,
    )
    pieces = cut(c)
    assert pieces is not None
    assert pieces.axis == 1
    assert is_worth_sharing(Schedule(kernels=[c]))


def test_an_operand_in_panels_is_cut_between_them() -> None:
    # 256 x 2048 x 2048: rows would make every piece read all of b, which no cache holds.
    out, a = Access(2, 0, (2048, 1, 0)), Access(0, 0, (2048, 0, 1))
    b = Access(1, 0, (0, 2048 * 64, 64))
    c = Contraction((256, 2048, 2048), (False, False, True), float32, a, b, out, panel=(1, 64))
    pieces = cut(c)
    assert pieces is not None
    assert (pieces.axis, pieces.kernel.extents) == (1, (256, 256, 2048))  # type: ignore[union-attr]
    assert [pieces.move(access) for access in (a, b, out)] == [0, 4 * 2048 * 64, 256]

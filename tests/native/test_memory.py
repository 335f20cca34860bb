"""Memory stays flat: programs that are not used any more go, with all that they hold."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import held, nn, optim
from retrograd.runtime import jit, libraries

pytestmark = pytest.mark.filterwarnings("ignore::retrograd.errors.RetraceWarning")


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is freed is freed at once, by counting references."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def list_natives(function: Any) -> list[Any]:
    return [program.staged.graph.cache["native"] for program in function.programs.values()]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(held, "MOST_PROGRAMS", 4)
    return 4


def test_programs_used_least_recently_are_freed(few: int, no_collector: None) -> None:
    double = rg.compile(lambda x: rg.exp(x) @ rg.exp(x).T, executor="native")
    references = []
    for size in range(1, 11):
        x = np.full((size, 3), 0.5, np.float32)
        np.testing.assert_allclose(double(x).numpy(), 3 * np.exp(1.0), rtol=1e-6)
        double(np.ones((1, 3), np.float32))  # used all the time: it stays
        del x
        references += [weakref.ref(native) for native in list_natives(double)]
    assert len(double.programs) == few
    alive = {id(r()) for r in references if r() is not None}
    assert alive == {id(native) for native in list_natives(double)}
    assert double.trace_count == 10
    double(np.ones((1, 3), np.float32))
    assert double.trace_count == 10, "the program that was used last is gone"
    double(np.ones((2, 3), np.float32))
    assert double.trace_count == 11


def test_memory_is_a_limit_too(monkeypatch: pytest.MonkeyPatch, no_collector: None) -> None:
    monkeypatch.setattr(held, "MOST_BYTES", 3_000_000)
    turn = rg.compile(lambda x: rg.exp(x) @ rg.sin(x), executor="native")
    for size in range(480, 500):
        turn(np.zeros((size, size), np.float32))
    assert 1 <= len(turn.programs) < 5
    assert sum(program.bytes for program in turn.programs.values()) < 5_000_000


def test_a_function_that_is_gone_leaves_nothing(no_collector: None) -> None:
    def make() -> list[weakref.ref[Any]]:
        layer, optimizer = nn.Linear(3, 2), optim.Adam(1e-3)

        @rg.compile(executor="native")
        def step(layer: Any, optimizer: Any, x: Any) -> Any:
            loss, gradient = rg.value_and_grad(lambda m, v: (m(v) ** 2).sum())(layer, x)
            optimizer.update(layer, gradient)
            return loss

        for _ in range(3):
            step(layer, optimizer, np.ones((5, 3), np.float32))
        (native,) = list_natives(step)
        return [weakref.ref(native), *map(weakref.ref, native.libraries)]

    references = make()
    assert references[0]() is None
    names = {library.name for library in libraries._by_name.values()}
    assert all(r() is None or r().name in names for r in references[1:])


def test_a_module_that_is_gone_is_forgotten(no_collector: None) -> None:
    apply = rg.compile(lambda layer, x: layer(x), executor="native")
    x = np.ones((2, 3), np.float32)
    for _ in range(5):
        layer = nn.Linear(3, 2)
        apply(layer, x)
        apply(layer, x)
    del layer
    gc.collect()  # tracing leaves rings of references
    assert apply.trace_count == 1
    assert not apply._bindings


def measure_heap() -> int:
    """Bytes that malloc has given away, for Python and LLVM alike."""
    kinds = [(name, ctypes.c_size_t) for name in "arena b c hblks hblkhd f g used h i".split()]
    kind = type("Mallinfo", (ctypes.Structure,), {"_fields_": kinds})
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        pytest.skip("not the GNU C library")
    library.mallinfo2.restype = kind
    return int(library.mallinfo2().used)


@pytest.mark.skipif(sys.platform != "linux", reason="mallinfo2 is of the GNU C library")
def test_code_that_is_gone_leaves_nothing_in_llvm() -> None:
    text = "define i64 @answer() { ret i64 42 }"

    def work(times: int) -> int:
        for _ in range(times):
            jit.load(jit.assemble(text), ["answer"])
        return measure_heap()

    before = work(jit.MOST_LIBRARIES)
    each = (work(4 * jit.MOST_LIBRARIES) - before) / (4 * jit.MOST_LIBRARIES)
    assert each < 1500  # bytes; 13,000 when passes and linkers were not shared and renewed


SCRIPT = """
import sys
import numpy as np
import retrograd as rg
from retrograd import held, nn, optim

shapes, steps = int(sys.argv[1]), int(sys.argv[2])
held.MOST_PROGRAMS = min(held.MOST_PROGRAMS, shapes // 2)

def measure():
    import gc
    gc.collect()
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024

model = nn.Sequential(nn.Linear(16, 32), nn.BatchNorm(32), nn.ReLU(), nn.Linear(32, 4))
optimizer = optim.Adam(1e-3)

@rg.compile(executor="native")
def step(model, optimizer, x):
    loss, gradient = rg.value_and_grad(lambda m, v: (m(v) ** 2).mean())(model, x)
    optimizer.update(model, gradient)
    return loss

def walk():
    before = step.trace_count
    for size in range(2, 2 + shapes):
        step(model, optimizer, np.ones((size, 16), np.float32))
    assert step.trace_count - before == shapes, "a program was kept"
    return measure()

# Programs that were dropped are made anew: every round compiles, and needs the same memory.
found = [walk() for _ in range(4)]
x = np.ones((32, 16), np.float32)
for _ in range(steps // 2):  # the allocator takes its last pages
    step(model, optimizer, x)
before = measure()
for _ in range(steps - steps // 2):
    step(model, optimizer, x)
print(*found, before, measure())
"""


def run_script(shapes: int, steps: int) -> tuple[list[float], float]:
    """MiB after each round of new shapes, and what the steps added."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(shapes), str(steps)],
        capture_output=True,
        text=True,
        check=True,
    )
    *rounds, before, after = map(float, done.stdout.split())
    print(done.stdout)
    return rounds, after - before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_resident_memory_is_flat() -> None:
    rounds, added = run_script(20, 2000)
    assert rounds[3] - rounds[1] < 6
    assert added < 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_resident_memory_is_flat_over_many_shapes_and_steps() -> None:
    rounds, added = run_script(200, 100_000)
    assert rounds[3] - rounds[1] < 12
    assert added < 1

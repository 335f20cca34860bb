"""A training step of a sparse embedding of a million rows beside one of ten thousand.

    python -m benchmarks.sparse_embedding

The same batch size, in turns. Both read and write the same number of rows; what is left is that
rows of the large table are in memory, and those of the small one in the caches.
"""

from __future__ import annotations

import statistics
import time
import tracemalloc
from typing import Any

import numpy as np

import retrograd as rg
from retrograd import nn, optim

SIZES = (10_000, 1_000_000)
WIDTH, BATCH, STEPS, WARM = 64, 2_048, 200, 5
OPTIMIZERS: dict[str, Any] = {
    "SGD": lambda: optim.SGD(0.1),
    "momentum": lambda: optim.SGD(0.1, momentum=0.9),
    "Adagrad": lambda: optim.Adagrad(),
    "Adam": lambda: optim.Adam(),
    "AdamW": lambda: optim.AdamW(),
}


def distance(model: Any, places: Any, targets: Any) -> Any:
    return ((model(places) - targets) ** 2).mean()


def measure(make: Any) -> dict[int, tuple[list[float], int]]:
    """For each size: the seconds of the steps, and the most bytes that a step allocates."""

    @rg.compile(executor="native")
    def step(model: Any, optimizer: Any, places: Any, targets: Any) -> Any:
        loss, gradients = rg.value_and_grad(distance)(model, places, targets)
        optimizer.update(model, gradients)
        return loss

    sides = {n: (nn.Embedding(n, WIDTH, sparse=True, init="zeros"), make()) for n in SIZES}
    random = np.random.default_rng(0)
    targets = rg.array(random.standard_normal((BATCH, WIDTH)).astype(np.float32))
    times: dict[int, list[float]] = {n: [] for n in SIZES}
    allocated = dict.fromkeys(SIZES, 0)
    for number in range(STEPS):
        for n, (model, optimizer) in sides.items():
            places = rg.array(random.integers(0, n, BATCH).astype(np.int32))
            if number == WARM:
                tracemalloc.start()
            start = time.perf_counter()
            step(model, optimizer, places, targets)
            if number == WARM:
                allocated[n] = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
            elif number > WARM:
                times[n].append(time.perf_counter() - start)
    return {n: (times[n], allocated[n]) for n in SIZES}


def main() -> None:
    print(f"ms a step (median, least), {BATCH:,} rows of width {WIDTH}; bytes allocated in a step")
    print(f"{'':10}" + "".join(f"{f'{n:,} rows':>30}" for n in SIZES) + f"{'slower':>18}")
    for name, make in OPTIMIZERS.items():
        found = measure(make)
        line = f"{name:10}"
        figures = []
        for times, most in found.values():
            figures.append((1e3 * statistics.median(times), 1e3 * min(times)))
            line += f"{figures[-1][0]:10.2f} {figures[-1][1]:7.2f} {most:11,}"
        slower = [large - small for small, large in zip(*figures, strict=True)]
        print(line + f"{slower[0]:10.2f} {slower[1]:7.2f}")


if __name__ == "__main__":
    main()

"""The side of retrograd: a compiled step called from Python, or a whole `fit`."""

from __future__ import annotations

import math
import platform
import time
from typing import Any

from retrograd.workloads import (
    LEARNING_RATE,
    WORKLOADS,
    Workload,
    draw_data,
    make_model,
    make_step,
)

from .protocol import Session, serve

MOST_BATCHES = 1024
DATA_BYTES = 16_000_000
EPOCH_FLOPS = 3e11
"""The most in one `fit`, the least that is timed: it must not be much longer than a turn."""


class CompiledStep(Session):
    """One call of a compiled function is one step."""

    def __init__(self, workload: Workload, executor: str) -> None:
        self.workload = workload
        self.executor = executor

    def prepare(self) -> dict[str, Any]:
        rg = import_retrograd(self.executor)
        step, arguments = make_step(self.workload, self.executor)
        self.step, self.arguments = step, arguments
        begin = time.perf_counter()
        step.graph(*arguments)
        traced = time.perf_counter()
        loss = float(step(*arguments))
        first = time.perf_counter()
        second_loss = float(step(*arguments))
        second = time.perf_counter()
        # The first call compiles and then does a step; the second one does a step.
        compiled = max(0.0, (first - traced) - (second - first))
        return describe_retrograd(rg) | {
            "trace": traced - begin,
            "compile": compiled,
            "first": first - begin,
            "losses": [loss, second_loss],
            "parameters": count_parameters(arguments[0]),
        }

    def run(self, steps: int) -> int:
        step, (model, optimizer, x, y) = self.step, self.arguments
        for _ in range(steps):
            step(model, optimizer, x, y)
        return steps


class Fit(Session):
    """Steps inside of `Trainer.fit`: batches are gathered in random order, losses are summed."""

    def __init__(self, workload: Workload, executor: str) -> None:
        self.workload = workload
        self.executor = executor

    def prepare(self) -> dict[str, Any]:
        rg = import_retrograd(self.executor)
        rg.seed(0)
        workload = self.workload
        self.batches = count_batches(workload)
        self.x, self.y = draw_data(workload, self.batches * workload.batch)
        model, optimizer = make_model(workload), rg.optim.Adam(LEARNING_RATE)
        self.trainer = rg.Trainer(model, "cross_entropy", optimizer, executor=self.executor)
        begin = time.perf_counter()
        rows = slice(0, workload.batch)
        history = self.trainer.fit(
            self.x[rows], self.y[rows], 1, batch_size=workload.batch, verbose=False
        )
        first = time.perf_counter() - begin
        return describe_retrograd(rg) | {
            "first": first,
            "losses": history["loss"],
            "parameters": count_parameters(model),
        }

    def run(self, steps: int) -> int:
        epochs = max(1, round(steps / self.batches))
        self.trainer.fit(self.x, self.y, epochs, batch_size=self.workload.batch, verbose=False)
        return epochs * self.batches


def import_retrograd(executor: str) -> Any:
    """The package with all that the executor imports: imports are not compile time."""
    import retrograd as rg

    if executor == "native":
        import llvmlite.binding  # noqa: F401

        import retrograd.native
    return rg


def count_batches(workload: Workload) -> int:
    """How many batches the data of `fit` have."""
    size = 4 * workload.batch * math.prod(workload.sample)
    most = min(MOST_BATCHES, DATA_BYTES // size, round(EPOCH_FLOPS / workload.flops))
    return max(4, most)


def count_parameters(model: Any) -> int:
    from retrograd import tree

    return sum(leaf.type.size for leaf in tree.leaves(model.parameters()))


def describe_retrograd(rg: Any) -> dict[str, Any]:
    import llvmlite
    import numpy as np

    from retrograd.runtime import processors

    return {
        "versions": {
            "python": platform.python_version(),
            "retrograd": rg.__version__,
            "numpy": np.__version__,
            "llvmlite": llvmlite.__version__,
        },
        "threads": processors.choose_thread_count(),
    }


def make(settings: dict[str, Any]) -> Session:
    form = Fit if settings["form"] == "fit" else CompiledStep
    return form(WORKLOADS[settings["workload"]], settings.get("executor", "native"))


if __name__ == "__main__":
    serve(make)

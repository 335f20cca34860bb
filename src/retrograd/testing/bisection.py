"""Finds the pass of the compiler that makes a program compute something else than NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import interpret
from ..compile import CompiledFunction, compile
from ..config import get_config
from ..ir import Graph

NumpyArray = np.ndarray[Any, Any]

TOLERANCES = {"float32": 1e-4, "float64": 1e-9}
"""Differences that rounding explains, relative to the largest element of an output."""


@dataclass(frozen=True, slots=True)
class Bisection:
    """What `bisect_passes` has found.

    Args:
        difference: how far machine code is from NumPy with all passes: the largest difference of
            an element, relative to the largest element of its output; infinite for another type,
            a NaN on one side only, a wrong integer or an error.
        tolerance: what rounding explains.
        without: the same with each pass left out, by its name.
        culprits: the passes of which each alone, left out, makes the result right; where no single
            one does, the smallest set found that does together.
        broken: the first pass after which the Graph itself computes something else, with NumPy.
    """

    difference: float
    tolerance: float
    without: dict[str, float]
    culprits: tuple[str, ...]
    broken: str | None

    @property
    def agrees(self) -> bool:
        """Whether machine code and NumPy agree with all passes."""
        return self.difference <= self.tolerance

    def __str__(self) -> str:
        if self.agrees:
            return (
                f"native and numpy agree with all passes: difference {self.difference:.1e}, "
                f"allowed {self.tolerance:.1e}"
            )
        found = f"native and numpy differ by {self.difference:.1e}"
        lines = [f"{found}, allowed {self.tolerance:.1e}; left out one by one:"]
        width = max(map(len, self.without), default=0)
        for name, difference in self.without.items():
            verdict = "agree" if difference <= self.tolerance else "differ"
            lines.append(f"  {name:<{width}}  {difference:.1e}  {verdict}")
        if self.culprits:
            alone = any(self.without[name] <= self.tolerance for name in self.culprits)
            how = "left out makes them agree" if alone else "left out together make them agree"
            lines.append(f"{', '.join(self.culprits)}: {how}")
            lines.append(f"until it is mended: RETROGRAD_WITHOUT_PASSES={','.join(self.culprits)}")
        else:
            lines.append("no pass is the cause: look at the lowering and the code generator")
        if self.broken:
            lines.append(f"the Graph after {self.broken} computes something else, with NumPy too")
        return "\n".join(lines)


def bisect_passes(
    function: Callable[..., Any],
    *arguments: Any,
    tolerance: float | None = None,
    poison: bool | None = None,
    **keywords: Any,
) -> Bisection:
    """Which pass of the compiler makes machine code differ from NumPy.

    The program is compiled with all passes, then with each of them left out. Nothing is changed:
    Modules and Optimizers among the arguments stay as they are, but for the state that an
    Optimizer without one gets.

    Args:
        function: any function that `rg.compile` takes, or a compiled one.
        arguments, keywords: those of a call.
        tolerance: the largest difference allowed, relative to the largest element of an output;
            1e-4 in float32, 1e-9 in float64 by default.
        poison: fill memory with NaN and guard every buffer, so that what reads memory that nobody
            wrote, or writes beside its own, is found too; then values share no memory. None for
            the setting `RETROGRAD_POISON`.

    Returns:
        A Bisection; `print` shows what was found.

    Example:
        >>> import retrograd as rg
        >>> from retrograd.testing import bisect_passes
        >>> bisect_passes(lambda x: rg.exp(x).sum(), rg.ones((4, 3))).agrees
        True
    """
    from ..native import NativeProgram
    from ..passes import pipeline

    compiled = function if isinstance(function, CompiledFunction) else compile(function)
    graph, arrays = compiled.capture(*arguments, **keywords)
    expected = interpret.run(graph, arrays)
    allowed = _default_tolerance(graph) if tolerance is None else tolerance
    names = [name for name in pipeline.list_names() if name not in get_config().without_passes]

    def measure(left_out: Sequence[str]) -> float:
        without = get_config().without_passes.union(left_out)
        try:
            program = NativeProgram(graph, poison, without=without)
            return compare(program.run(arrays), expected)
        except Exception:  # whatever is wrong with the program, it is what is looked for
            return float("inf")

    difference = measure([])
    if difference <= allowed:
        return Bisection(difference, allowed, {}, (), None)
    without = {name: measure([name]) for name in names}
    culprits = [name for name in names if without[name] <= allowed]
    if not culprits and measure(names) <= allowed:
        culprits = list(names)
        for name in names:
            fewer = [other for other in culprits if other != name]
            if measure(fewer) <= allowed:
                culprits = fewer
    broken = None
    for name, after, _ in pipeline.walk_passes(graph, get_config().without_passes):
        if compare(interpret.run(after, arrays), expected) > allowed:
            broken = name
            break
    return Bisection(difference, allowed, without, tuple(culprits), broken)


def compare(outputs: Sequence[NumpyArray], expected: Sequence[NumpyArray]) -> float:
    """The largest difference of an element, relative to the largest element of its output."""
    worst = 0.0
    for got, wanted in zip(outputs, expected, strict=True):
        if got.dtype != wanted.dtype or got.shape != wanted.shape:
            return float("inf")
        if got.dtype.kind != "f":
            if not np.array_equal(got, wanted):
                return float("inf")
            continue
        finite = np.isfinite(wanted)
        if not np.array_equal(got[~finite], wanted[~finite], equal_nan=True):
            return float("inf")
        if not np.isfinite(got[finite]).all():
            return float("inf")
        exact = wanted[finite].astype(np.float64)
        if exact.size:
            error = float(np.abs(got[finite] - exact).max())
            scale = float(np.abs(exact).max())
            worst = max(worst, error / max(scale, float(np.finfo(wanted.dtype).tiny)))
    return worst


def _default_tolerance(graph: Graph) -> float:
    """That of the narrowest floats that the program computes with."""
    names = {variable.type.dtype.name for node in graph.walk() for variable in node.outputs}
    return max((TOLERANCES[name] for name in TOLERANCES if name in names), default=0.0)

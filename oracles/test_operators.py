"""Values and gradients of the operations against PyTorch, on the samples of PyTorch's own tests.

For each operator that has an adapter and each of its float64 samples: our outputs equal PyTorch's,
and our vector-Jacobian products of a random cotangent equal `torch.autograd.grad`'s. Skipped ones
are counted with their reasons; too few compared ones are a failure.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils import _pytree

import retrograd as rg
from adapters import ADAPTERS, IGNORED, Skip

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db

RELATIVE_TOLERANCE = 1e-9
SMALLEST_NUMBER_OF_OPERATIONS = 60
SMALLEST_NUMBER_OF_SAMPLES = 1_500

# Where PyTorch's own float64 gradient is less exact.
LOOSER_TOLERANCES: dict[str, float] = {
    "nn.functional.hardswish": 1e-7,  # its gradient multiplies by 1/3 rounded to float32
    "nn.functional.hardsigmoid": 1e-7,  # its gradient is 1/6 rounded to float32
}


def full_name(op: Any) -> str:
    return f"{op.name}.{op.variant_test_name}" if op.variant_test_name else op.name


@functools.cache
def operators() -> dict[str, Any]:
    """The operators by their name with variant; the first where PyTorch lists one twice."""
    found: dict[str, Any] = {}
    for op in op_db:
        found.setdefault(full_name(op), op)
    return found


@dataclasses.dataclass
class Count:
    """What happened to the samples of one operator."""

    values: int = 0
    gradients: int = 0
    skipped: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    failures: list[str] = dataclasses.field(default_factory=list)


COUNTS: dict[str, Count] = {}


def describe(value: Any) -> Any:
    """A sample's argument in a few characters, for the message of a failure."""
    if isinstance(value, torch.Tensor):
        kind = str(value.dtype).removeprefix("torch.")
        return f"{kind}{list(value.shape)}"
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    if isinstance(value, dict):
        return {name: describe(item) for name, item in value.items()}
    return value


def check_close(
    ours: Any, theirs: torch.Tensor, what: str, tolerance: float = RELATIVE_TOLERANCE
) -> None:
    """Equal shapes, equal kinds of numbers, equal values within the tolerance."""
    actual = np.asarray(ours)
    expected = theirs.numpy(force=True)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, PyTorch {expected.shape}"
    if expected.dtype.kind != "f":
        assert actual.dtype.kind in "iub", f"{what}: dtype {actual.dtype}, PyTorch {expected.dtype}"
        assert np.array_equal(actual, expected), f"{what}: {actual}, PyTorch {expected}"
        return
    assert actual.dtype == expected.dtype, f"{what}: dtype {actual.dtype}, PyTorch {expected.dtype}"
    finite = np.abs(expected[np.isfinite(expected)])
    scale = max(1.0, float(finite.max(initial=0.0)))
    absolute = 0.1 * tolerance * scale
    close = np.isclose(actual, expected, rtol=tolerance, atol=absolute, equal_nan=True)
    if not close.all():
        place = tuple(int(index) for index in np.argwhere(~close)[0])
        raise AssertionError(
            f"{what}: {int((~close).sum())} of {close.size} differ, first at {place}: "
            f"{actual[place]!r}, PyTorch {expected[place]!r}"
        )


class Comparison:
    """One sample: PyTorch's outputs and gradients beside ours."""

    def __init__(self, op: Any, sample: Any) -> None:
        arguments = (sample.input, sample.args, sample.kwargs)
        leaves, self.structure = _pytree.tree_flatten(arguments)
        self.op = op
        self.tensors: list[torch.Tensor] = []
        self.leaves: list[Any] = []
        for leaf in leaves:
            if isinstance(leaf, torch.Tensor):
                leaf = leaf.detach().clone().requires_grad_(leaf.requires_grad)
                if leaf.requires_grad:
                    self.tensors.append(leaf)
            self.leaves.append(leaf)
        # A copy, made before PyTorch runs: some operators change running statistics in place.
        self.arrays = [
            rg.array(leaf.detach().numpy().copy()) if isinstance(leaf, torch.Tensor) else leaf
            for leaf in self.leaves
        ]
        self.adapter = ADAPTERS[full_name(op)]

    def run_torch(self) -> list[torch.Tensor]:
        first, args, kwargs = _pytree.tree_unflatten(self.leaves, self.structure)
        outputs = self.op(first, *args, **kwargs)
        return [leaf for leaf in _pytree.tree_leaves(outputs) if isinstance(leaf, torch.Tensor)]

    def run_ours(self, *primals: Any) -> list[Any]:
        """Our outputs; the differentiable arguments are replaced by `primals` when given."""
        replacements = iter(primals)
        leaves = [
            next(replacements)
            if primals and isinstance(leaf, torch.Tensor) and leaf.requires_grad
            else array
            for leaf, array in zip(self.leaves, self.arrays, strict=True)
        ]
        first, args, kwargs = _pytree.tree_unflatten(leaves, self.structure)
        outputs = self.adapter(first, *args, **kwargs)
        return list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]

    def compare(self) -> bool:
        """Compare values, then gradients if there are any; return whether there were."""
        ours = self.run_ours()
        theirs = self.run_torch()
        assert len(ours) == len(theirs), f"{len(ours)} outputs, PyTorch {len(theirs)}"
        for index, (actual, expected) in enumerate(zip(ours, theirs, strict=True)):
            if actual is not IGNORED:
                check_close(actual, expected, f"output {index}")
        chosen = [
            index
            for index, expected in enumerate(theirs)
            if expected.requires_grad and ours[index] is not IGNORED
        ]
        if not chosen or not self.tensors:
            return False
        generator = np.random.default_rng(0)
        cotangents = [generator.standard_normal(theirs[index].shape) for index in chosen]
        expected_gradients = torch.autograd.grad(
            [theirs[index] for index in chosen],
            self.tensors,
            [torch.from_numpy(np.asarray(cotangent)) for cotangent in cotangents],
            allow_unused=True,
        )
        primals = [
            array
            for leaf, array in zip(self.leaves, self.arrays, strict=True)
            if isinstance(leaf, torch.Tensor) and leaf.requires_grad
        ]
        values, pullback = rg.vjp(
            lambda *primals: tuple(self.run_ours(*primals)[index] for index in chosen), *primals
        )
        for index, value in zip(chosen, values, strict=True):
            check_close(value, theirs[index], f"output {index} of vjp")
        gradients = pullback(tuple(rg.array(cotangent) for cotangent in cotangents))
        assert len(gradients) == len(self.tensors)
        tolerance = LOOSER_TOLERANCES.get(full_name(self.op), RELATIVE_TOLERANCE)
        for index, (actual, expected) in enumerate(zip(gradients, expected_gradients, strict=True)):
            if expected is None:
                expected = torch.zeros_like(self.tensors[index])
            check_close(actual, expected, f"gradient {index}", tolerance)
        return True


def draw_samples(op: Any) -> Iterator[Any]:
    """PyTorch's samples, the same ones in each run."""
    torch.manual_seed(zlib.crc32(full_name(op).encode()))
    requires_grad = op.supports_autograd
    yield from op.sample_inputs("cpu", torch.float64, requires_grad=requires_grad)


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_operator(name: str) -> None:
    op = operators()[name]
    count = COUNTS.setdefault(name, Count())
    for sample in draw_samples(op):
        described = describe([sample.input, *sample.args, sample.kwargs])
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                with_gradients = Comparison(op, sample).compare()
        except Skip as reason:
            count.skipped[str(reason)] += 1
        except Exception as error:
            count.failures.append(f"{described}: {type(error).__name__}: {error}")
        else:
            count.values += 1
            count.gradients += with_gradients
    if count.failures:
        shown = "\n".join(count.failures[:5])
        pytest.fail(
            f"{name}: {len(count.failures)} samples differ, {count.values} agree\n{shown}",
            pytrace=False,
        )


def test_the_comparison_can_fail() -> None:
    """A wrong value, a wrong gradient and a wrong shape are each seen."""
    op = operators()["sin"]
    sample = next(iter(draw_samples(op)))
    for adapter, message in (
        (lambda x: rg.sin(x) * (1.0 + 1e-8), "output 0"),
        (lambda x: rg.sin(x) + (x - rg.stop_gradient(x)) * 1e-8, "gradient 0"),
        (lambda x: rg.expand_dims(rg.sin(x), 0), "shape"),
    ):
        comparison = Comparison(op, sample)
        comparison.adapter = adapter
        with pytest.raises(AssertionError, match=message):
            comparison.compare()


def test_enough_is_compared(tables: dict[str, list[str]], request: pytest.FixtureRequest) -> None:
    """The last of this file: what was compared, and that it was enough."""
    lines = [f"{'operator':44} {'values':>7} {'gradients':>9} {'skipped':>8}  reasons"]
    for name, count in sorted(COUNTS.items()):
        reasons = "; ".join(f"{reason} ({n})" for reason, n in count.skipped.most_common())
        skipped = sum(count.skipped.values())
        lines.append(f"{name:44} {count.values:7} {count.gradients:9} {skipped:8}  {reasons}")
    # Variants of one operator ("max.binary") count once.
    operations = {operators()[name].name for name, count in COUNTS.items() if count.values}
    values = sum(count.values for count in COUNTS.values())
    gradients = sum(count.gradients for count in COUNTS.values())
    skipped = sum(sum(count.skipped.values()) for count in COUNTS.values())
    lines.append(
        f"{len(operations)} operations; samples compared: {values} values, {gradients} gradients; "
        f"skipped: {skipped}"
    )
    tables["operators against PyTorch"] = lines
    if set(COUNTS) != set(ADAPTERS):
        pytest.skip("only a part of the operators was run")
    assert len(operations) >= SMALLEST_NUMBER_OF_OPERATIONS
    assert gradients >= SMALLEST_NUMBER_OF_SAMPLES

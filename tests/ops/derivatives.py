"""Checks that a function's derivatives agree with each other and with finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import retrograd as rg

NumpyArray = np.ndarray[Any, Any]


def check_derivatives(function: Callable[..., Any], *inputs: NumpyArray) -> None:
    """First and second order, along random directions, in float64."""
    _check_order(function, inputs, 1e-7)
    random = np.random.default_rng(5)
    weights = rg.array(random.normal(size=np.shape(function(*map(rg.array, inputs)).numpy())))

    def gradient_along(*arguments: Any) -> Any:
        _, pullback = rg.vjp(lambda *a: rg.sum(function(*a) * weights), *arguments)
        parts = pullback(rg.array(1.0, dtype="float64"))
        return rg.concatenate([rg.reshape(part, (-1,)) for part in parts])

    _check_order(gradient_along, inputs, 1e-6)


def _check_order(function: Callable[..., Any], inputs: Any, tolerance: float) -> None:
    random = np.random.default_rng(3)
    arrays = [rg.array(np.asarray(value, np.float64)) for value in inputs]
    directions = [random.normal(size=array.shape) for array in arrays]
    output, tangent = rg.jvp(function, tuple(arrays), tuple(map(rg.array, directions)))
    assert output.dtype == np.float64
    cotangent = random.normal(size=output.shape)
    _, pullback = rg.vjp(function, *arrays)
    gradients = pullback(rg.array(cotangent))
    forward = float(np.sum(cotangent * tangent.numpy()))
    terms = [g.numpy() * d for g, d in zip(gradients, directions, strict=True)]
    scale = 1.0 + sum(float(np.abs(term).sum()) for term in terms)
    backward = sum(float(term.sum()) for term in terms)
    assert abs(forward - backward) <= 1e-12 * scale, (forward, backward)
    step = 1e-5
    moved = [
        function(
            *(
                rg.array(a.numpy() + sign * step * d)
                for a, d in zip(arrays, directions, strict=True)
            )
        ).numpy()
        for sign in (1, -1)
    ]
    measured = float(np.sum(cotangent * (moved[0] - moved[1]) / (2 * step)))
    assert abs(forward - measured) <= tolerance * scale, (forward, measured)

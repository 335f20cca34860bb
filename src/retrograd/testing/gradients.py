"""check_gradients: the chain rule against finite differences, in float64, in random directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, GradientCheckError, hide_internal_frames
from ..ir.types import float64
from ..ops.promotion import convert
from ..ops.random import default_generator
from ..staging import Builder, describe, describe_result
from ..trace import Array, recording_depth
from ..transforms import jvp, parameter_names, vjp
from .differences import FIRST_STEP, Estimate, extrapolate_differences

MODES = ("reverse", "forward")

FlatFunction = Callable[..., list[Array]]


def check_gradients(
    function: Callable[..., Any],
    *arguments: Any,
    order: int = 2,
    modes: Sequence[str] = MODES,
    tolerance: float = 1e-6,
    step: float | None = None,
    seed: int = 0,
) -> None:
    """Check the gradients of a function against finite differences, in float64.

    For random vectors v (a direction of the arguments) and w (a cotangent of the values) with
    Jacobian J, the three numbers are compared that must be one:

        `v . (J^T w)` (reverse mode) = `w . (J v)` (forward mode) = `d/dt  w . f(x + t v)` at t = 0,

    the last from central differences with Richardson extrapolation, one argument at a time. For
    order 2 the same is done with the gradient `x -> J(x)^T w` and the tangent `x -> J(x) v` in the
    place of f, which checks reverse over reverse, forward over reverse, reverse over forward and
    forward over forward; and so on for higher orders.

    Args:
        function: any function of Arrays, numbers, Modules and trees of them, whose value is an
            Array or a tree of Arrays. What it draws at random is the same in every evaluation.
        arguments: where to check. Floating Arrays and numbers are converted to float64, trainable
            parameters of Modules (in copies) too; everything else stays as it is. Choose a point
            that is not next to a kink or a tie.
        order: 1 for gradients, 2 for their gradients too, and so on.
        modes: "reverse", "forward" or both.
        tolerance: the largest relative error. Errors are relative to the number itself or to the
            root mean square of the terms that it is summed from, whichever is larger.
        step: the first, largest step of the differences; it is halved until they settle.
        seed: for the random vectors.

    Raises:
        GradientCheckError: names the argument, the mode, the order, both numbers and the relative
            error.
        ArgumentError: there is nothing to check, or the value is not finite at this point.
        DTypeError: the function gives float32 for float64 arguments.

    Example:
        >>> import numpy as np
        >>> import retrograd as rg
        >>> def f(x, y):
        ...     return rg.sin(x) * y
        >>> rg.testing.check_gradients(f, np.array([0.5, 2.0]), 3.0)

    Source: A. Griewank, A. Walther, Evaluating Derivatives, 2nd ed., SIAM 2008, chapter 3 (the
    dot product test).
    """
    try:
        checker = _Checker(_check_options(order, modes, tolerance, step), seed)
        flat = _Flattened(function, arguments)
        checker.names = flat.names
        checker.check(flat, flat.point, ())
    except Exception as error:
        hide_internal_frames(error)
        raise


@dataclass(frozen=True, slots=True)
class _Options:
    order: int
    modes: tuple[str, ...]
    tolerance: float
    step: float


def _check_options(
    order: int, modes: Sequence[str], tolerance: float, step: float | None
) -> _Options:
    if not isinstance(order, int) or isinstance(order, bool) or order < 1:
        raise ArgumentError(f"check_gradients: order is 1, 2, ..., received {order!r}.")
    chosen = (modes,) if isinstance(modes, str) else tuple(modes)
    if not chosen or not set(chosen) <= set(MODES):
        raise ArgumentError(
            f"check_gradients: modes are 'reverse' and 'forward', received {modes!r}.",
            fix='write modes=("reverse",) where there is no forward-mode rule',
        )
    if not tolerance > 0:
        raise ArgumentError(f"check_gradients: tolerance must be above 0, received {tolerance!r}.")
    if step is not None and not step > 0:
        raise ArgumentError(f"check_gradients: step must be above 0, received {step!r}.")
    return _Options(order, chosen, tolerance, FIRST_STEP if step is None else step)


class _Flattened:
    """A function of trees and Modules as one from float64 Arrays to a list of Arrays."""

    def __init__(self, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
        self.function = function
        self.call = describe(arguments, {}, parameter_names(function))
        self.state = default_generator().state
        self.values: list[Any] = []
        self.names: list[str] = []
        self.point: list[Array] = []
        self.positions: list[int] = []
        for position, leaf in enumerate(self.call.leaves):
            kept = leaf.value
            if _is_floating(kept):
                kept = convert(leaf.as_array(), float64)
                if leaf.trainable or not leaf.in_object:
                    self.positions.append(position)
                    self.names.append(leaf.path)
                    self.point.append(kept)
            self.values.append(kept)
        if not self.point:
            raise ArgumentError(
                "check_gradients: no argument is floating, so there is no gradient to check.",
                fix="pass floating Arrays or numbers, e.g. 1.0 in the place of 1",
            )

    def __call__(self, *point: Array) -> list[Array]:
        values = list(self.values)
        for position, value in zip(self.positions, point, strict=True):
            values[position] = value
        builder = Builder(self.call.description, values, recording_depth())
        generator = default_generator()
        before, generator.state = generator.state, self.state
        try:
            result = self.function(*(builder.build(part) for part in self.call.arguments))
        finally:
            generator.state = before
        outputs: list[Array] = []
        describe_result(result, outputs)
        floating = [output for output in outputs if output.type.floating]
        if not floating:
            raise ArgumentError(
                "check_gradients: the function returns no floating Array.",
                fix="return the Arrays whose gradients are to be checked",
            )
        for output in floating:
            if output.type.dtype != float64:
                raise DTypeError(
                    f"check_gradients: the function returns {output.type} although its arguments "
                    "are float64: its values are too coarse for finite differences.",
                    fix="take the conversion to float32 out of the function while it is checked",
                )
        return floating


def _is_floating(value: Any) -> bool:
    if isinstance(value, Array):
        return value.type.floating
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f"
    return isinstance(value, float)


class _Checker:
    """Compares derivatives of one function, then those of its derivatives."""

    def __init__(self, options: _Options, seed: int) -> None:
        self.options = options
        self.names: list[str] = []
        self._random = np.random.default_rng(seed)

    def check(self, function: FlatFunction, point: list[Array], taken: tuple[str, ...]) -> None:
        """Check the first derivative of a function; `taken` says which derivative it already is."""
        values = function(*point)
        if not all(np.isfinite(value.concrete()).all() for value in values):
            raise ArgumentError(
                "check_gradients: the value of the function is not finite at this point.",
                fix="check at a point inside the domain",
            )
        cotangents = [self._draw(value) for value in values]
        directions = [self._draw(value) for value in point]
        found: dict[str, list[tuple[float, float]]] = {}
        if "reverse" in self.options.modes:
            gradients = vjp(function, *point)[1](cotangents)
            found["reverse"] = [_inner([g], [v]) for g, v in zip(gradients, directions)]
        if "forward" in self.options.modes:
            found["forward"] = [
                _inner(cotangents, _tangent(function, point, directions, [position]))
                for position in range(len(point))
            ]
        for position in range(len(point)):
            self._compare(
                function,
                point,
                position,
                directions[position],
                cotangents,
                {mode: numbers[position] for mode, numbers in found.items()},
                taken,
            )
        if len(found) == 2:
            tangents = _tangent(function, point, directions, range(len(point)))
            self._compare_modes(found["reverse"], _inner(cotangents, tangents), taken)
        if len(taken) + 1 < self.options.order:
            for mode in found:
                derivative = (
                    _gradient_of(function, cotangents)
                    if mode == "reverse"
                    else _tangent_of(function, directions)
                )
                self.check(derivative, point, (*taken, mode))

    def _draw(self, like: Array) -> Array:
        """Random numbers of random sign, none of them small: no entry goes unnoticed."""
        shape = like.type.shape
        sizes = self._random.uniform(0.5, 1.5, shape)
        return Array(np.asarray(np.where(self._random.random(shape) < 0.5, -sizes, sizes)))

    def _compare(
        self,
        function: FlatFunction,
        point: list[Array],
        position: int,
        direction: Array,
        cotangents: list[Array],
        found: dict[str, tuple[float, float]],
        taken: tuple[str, ...],
    ) -> None:
        """The derivatives by one argument against finite differences."""
        origin, along = point[position].concrete(), direction.concrete()

        def along_line(distance: float) -> tuple[float, float]:
            moved = list(point)
            moved[position] = Array(np.asarray(origin + distance * along))
            values = function(*moved)
            parts = [w.concrete() * y.concrete() for w, y in zip(cotangents, values)]
            return sum(float(p.sum()) for p in parts), sum(float(abs(p).sum()) for p in parts)

        tolerance = self.options.tolerance
        typical = max(size for _, size in found.values())

        def accept(estimate: Estimate) -> bool:
            scale = max(abs(estimate.value), typical)
            return estimate.spread <= max(0.01 * tolerance * scale, estimate.rounding)

        estimate = extrapolate_differences(along_line, self.options.step, accept)
        for mode, (number, size) in found.items():
            scale = max(abs(number), abs(estimate.value), size)
            error = abs(number - estimate.value)
            # An infinite number has an infinite scale, which every error would fit into.
            if np.isfinite(scale) and error <= max(tolerance * scale, estimate.rounding):
                continue
            settled = estimate.spread <= max(tolerance * scale, estimate.rounding)
            smooth = settled and not _has_kink(along_line, self.options.step, scale)
            raise GradientCheckError(
                f"The gradient by {self._place(position, point)} disagrees with finite "
                f"differences in {_derivative_words(mode, taken)}: {mode} mode gives "
                f"{number:.12g}, differences {estimate.value:.12g}; the relative error is "
                f"{_ratio(error, scale):.3g}, allowed is {tolerance:.3g}.",
                fix=_advice(mode)
                if smooth
                else "finite differences do not settle here, or differ to the left and the right: "
                "check at a point away from kinks, ties and poles, or with a smaller step=...",
            )

    def _compare_modes(
        self,
        reverse: list[tuple[float, float]],
        forward: tuple[float, float],
        taken: tuple[str, ...],
    ) -> None:
        """The dot product test: both modes on all arguments at once, nearly to rounding."""
        number = sum(value for value, _ in reverse)
        scale = max([abs(number), abs(forward[0]), forward[1], *(size for _, size in reverse)])
        error = abs(number - forward[0])
        allowed = 1e-3 * self.options.tolerance
        if not (np.isfinite(scale) and error <= allowed * scale):
            raise GradientCheckError(
                f"Reverse and forward mode disagree in order {len(taken) + 1}"
                f"{_after(taken)}, over all arguments ({', '.join(self.names)}): reverse gives "
                f"{number:.15g}, forward {forward[0]:.15g}; the relative error is "
                f"{_ratio(error, scale):.3g}, allowed is {allowed:.3g}.",
                fix="one of the two rules is not exact: check that backward is the transpose of "
                "jvp, and look for rounded constants",
            )

    def _place(self, position: int, point: list[Array]) -> str:
        return f"argument {self.names[position]!r} ({point[position].type})"


def _has_kink(
    along_line: Callable[[float], tuple[float, float]], first_step: float, scale: float
) -> bool:
    """Whether the slopes to the right and to the left differ, at a step where smooth ones agree."""
    step = first_step * 2.0**-10
    low, middle, high = (along_line(distance)[0] for distance in (-step, 0.0, step))
    return not abs((high - middle) - (middle - low)) <= 1e-2 * scale * step


def _gradient_of(function: FlatFunction, cotangents: list[Array]) -> FlatFunction:
    return lambda *point: list(vjp(function, *point)[1](cotangents))


def _tangent_of(function: FlatFunction, directions: list[Array]) -> FlatFunction:
    return lambda *point: _tangent(function, list(point), directions, range(len(point)))


def _tangent(
    function: FlatFunction, point: list[Array], directions: list[Array], moving: Sequence[int]
) -> list[Array]:
    tangents = [v if position in moving else None for position, v in enumerate(directions)]
    return jvp(function, point, tangents)[1]


def _inner(left: Sequence[Array], right: Sequence[Array]) -> tuple[float, float]:
    """The inner product of two lists of Arrays, and the Euclidean norm of its terms."""
    terms = [a.concrete() * b.concrete() for a, b in zip(left, right, strict=True)]
    norm = float(np.sqrt(sum(float((term * term).sum()) for term in terms)))
    return sum(float(term.sum()) for term in terms), norm


def _derivative_words(mode: str, taken: tuple[str, ...]) -> str:
    return f"order {len(taken) + 1} ({' over '.join((mode, *reversed(taken)))})"


def _after(taken: tuple[str, ...]) -> str:
    return f" (of the {' over '.join(reversed(taken))} derivative)" if taken else ""


def _ratio(error: float, scale: float) -> float:
    return error / scale if scale else float("inf")


def _advice(mode: str) -> str:
    rule = "backward" if mode == "reverse" else "jvp"
    return (
        f"look at the {rule} rule of what the function uses, beginning with rules of your own: "
        "sign, constant factors, transposes and sums over broadcast axes"
    )

"""The parts that optimizers are made of: pure rules from gradients to updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..ir.types import float64, int32
from ..ops import reduce, transcendental
from ..ops.arithmetic import minimum, square
from ..ops.promotion import as_array, convert
from ..trace import Array
from ..tree import flatten, leaves
from ..tree import map as map_tree
from .base import Schedule, Transform, check_number, check_rate
from .rows import is_row_gradient, map_rows, step_rows

Tree = Any


def _zeros(parameters: Tree) -> Tree:
    return map_tree(lambda p: Array(np.zeros(p.type.shape, p.type.dtype)), parameters)


def _no_state(parameters: Tree) -> Tree:
    return ()


def _counter() -> Array:
    return Array(np.array(0, int32))


def scale_by(factor: float) -> Transform:
    """Updates multiplied by a number.

    Example:
        >>> from retrograd import optim
        >>> optim.scale_by(-0.5).update({"w": 4.0}, (), None)[0]
        {'w': -2.0}
    """
    return Transform(
        _no_state,
        lambda gradients, state, parameters: (
            map_rows(lambda gradient: gradient * factor, gradients),
            state,
        ),
        key=("scale_by", factor),
    )


def scale_by_learning_rate(learning_rate: float | Schedule) -> Transform:
    """Updates multiplied by minus the learning rate: `-lr * g`.

    Args:
        learning_rate: a number, kept in the state so that it can be changed between steps; or a
            schedule, a function from the step (from 0, an Array) to the rate.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import optim
        >>> rule = optim.scale_by_learning_rate(0.5)
        >>> updates, _ = rule.update({"w": rg.array(4.0)}, rule.init({}), None)
        >>> float(updates["w"])
        -2.0
    """

    def apply(rate: Array, gradients: Tree) -> Tree:
        return map_rows(lambda g: g * convert(-rate, g.type.dtype), gradients)

    if not callable(learning_rate):
        number = check_rate(learning_rate)

        def update(gradients: Tree, state: Tree, parameters: Tree) -> tuple[Tree, Tree]:
            return apply(state["learning_rate"], gradients), state

        return Transform(
            lambda parameters: {"learning_rate": Array(np.array(number, float64))},
            update,
            key=("scale_by_learning_rate",),  # the number is state
        )

    schedule: Callable[[Array], Any] = learning_rate

    def update_scheduled(gradients: Tree, state: Tree, parameters: Tree) -> tuple[Tree, Tree]:
        rate = convert(as_array(schedule(state["step"])), float64)
        if rate.type.shape:
            raise ShapeError(
                f"The learning-rate schedule gives a rate of shape {rate.type.shape}, expected ()."
            )
        return apply(rate, gradients), {"step": state["step"] + 1}

    return Transform(
        lambda parameters: {"step": _counter()}, update_scheduled, key=_schedule_key(schedule)
    )


def add_decayed_weights(weight_decay: float) -> Transform:
    """Gradients plus the weights times a factor: `g + weight_decay * w`.

    Before momentum this is L2 regularisation (SGD), after Adam's scaling it is the decoupled
    decay of AdamW.

    Example:
        >>> from retrograd import optim
        >>> optim.add_decayed_weights(0.5).update({"w": 1.0}, (), {"w": 4.0})[0]
        {'w': 3.0}
    """
    _check_not_negative("weight_decay", weight_decay)
    return Transform(
        _no_state,
        lambda gradients, state, parameters: (
            map_rows(lambda g, w: g + w * weight_decay, gradients, parameters),
            state,
        ),
        key=("add_decayed_weights", weight_decay),
    )


def trace_momentum(momentum: float, nesterov: bool = False) -> Transform:
    """A running sum of gradients: `m = momentum * m + g`; Nesterov's looks ahead.

    With `nesterov` the update is `g + momentum * m`.

    Source: B. Polyak, Some methods of speeding up the convergence of iteration methods (1964);
    I. Sutskever et al., On the importance of initialization and momentum, ICML 2013.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import optim
        >>> rule = optim.trace_momentum(0.9)
        >>> state = rule.init({"w": rg.array(0.0)})
        >>> for _ in range(2):
        ...     updates, state = rule.update({"w": rg.array(1.0)}, state, None)
        >>> round(float(updates["w"]), 4)
        1.9
    """
    if not 0.0 <= check_number("momentum", momentum) < 1.0:
        raise ArgumentError(f"momentum lies in [0, 1), received {momentum}.")

    def update(gradients: Tree, state: Tree, parameters: Tree) -> tuple[Tree, Tree]:
        def rule(g: Array, m: Array) -> tuple[Array, Array]:
            m = m * momentum + g
            return (g + m * momentum if nesterov else m), m

        updates, trace = step_rows(rule, gradients, state["momentum"])
        return updates, {"momentum": trace}

    return Transform(
        lambda parameters: {"momentum": _zeros(parameters)},
        update,
        key=("trace_momentum", momentum, nesterov),
    )


def scale_by_adam(betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> Transform:
    """Adam's rule: running means of g and g^2, corrected for their start at zero.

    `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`, and the update is
    `(m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)`.

    Source: D. Kingma, J. Ba, Adam: a method for stochastic optimization, ICLR 2015.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import optim
        >>> rule = optim.scale_by_adam()
        >>> updates, _ = rule.update({"w": rg.array(3.0)}, rule.init({"w": rg.array(0.0)}), None)
        >>> round(float(updates["w"]), 4)
        1.0
    """
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise ArgumentTypeError(f"betas are two numbers, received {betas!r}.")
    first, second = betas
    for beta in betas:
        if not 0.0 <= check_number("Each of betas", beta) < 1.0:
            raise ArgumentError(f"betas lie in [0, 1), received {betas}.")
    _check_not_negative("eps", eps)

    def update(gradients: Tree, state: Tree, parameters: Tree) -> tuple[Tree, Tree]:
        step = state["step"] + 1
        time = convert(step, float64)
        correction = 1.0 - as_array(np.float64(first)) ** time
        root_correction = transcendental.sqrt(1.0 - as_array(np.float64(second)) ** time)

        def rule(g: Array, m: Array, v: Array) -> tuple[Array, Array, Array]:
            dtype = m.type.dtype
            m = m * first + g * (1.0 - first)
            v = v * second + square(g) * (1.0 - second)
            root = transcendental.sqrt(v) * convert(1.0 / root_correction, dtype) + eps
            return m * convert(1.0 / correction, dtype) / root, m, v

        updates, means, squares = step_rows(rule, gradients, state["mean"], state["square"])
        return updates, {"step": step, "mean": means, "square": squares}

    return Transform(
        lambda parameters: {
            "step": _counter(),
            "mean": _zeros(parameters),
            "square": _zeros(parameters),
        },
        update,
        key=("scale_by_adam", first, second, eps),
    )


def scale_by_adagrad(initial: float = 0.0, eps: float = 1e-10) -> Transform:
    """Adagrad's rule: gradients divided by the root of the sum of all their squares so far.

    `s = s + g^2`, and the update is `g / (sqrt(s) + eps)`.

    Args:
        initial: the value of s at first.
        eps: added to the root, against division by zero.

    Source: J. Duchi, E. Hazan, Y. Singer, Adaptive subgradient methods for online learning and
    stochastic optimization, JMLR 12 (2011).

    Example:
        >>> import retrograd as rg
        >>> from retrograd import optim
        >>> rule = optim.scale_by_adagrad()
        >>> updates, _ = rule.update({"w": rg.array(3.0)}, rule.init({"w": rg.array(0.0)}), None)
        >>> float(updates["w"])
        1.0
    """
    _check_not_negative("initial", initial)
    _check_not_negative("eps", eps)

    def rule(g: Array, s: Array) -> tuple[Array, Array]:
        s = s + square(g)
        return g / (transcendental.sqrt(s) + eps), s

    def update(gradients: Tree, state: Tree, parameters: Tree) -> tuple[Tree, Tree]:
        updates, sums = step_rows(rule, gradients, state["sum"])
        return updates, {"sum": sums}

    def init(parameters: Tree) -> Tree:
        return {
            "sum": map_tree(
                lambda p: Array(np.full(p.type.shape, initial, p.type.dtype)), parameters
            )
        }

    return Transform(init, update, key=("scale_by_adagrad", initial, eps))


def global_norm(tree: Tree) -> Array:
    """The norm of all leaves together: `sqrt(sum of g^2)`; of a RowGradient that of its rows.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import optim
        >>> float(optim.global_norm({"a": rg.array(3.0), "b": rg.array([4.0])}))
        5.0
    """
    total: Any = 0.0
    for leaf in flatten(tree, is_row_gradient)[0]:
        total = total + reduce.sum(square(leaf.rows if is_row_gradient(leaf) else leaf))
    return transcendental.sqrt(as_array(total))


def clip_by_global_norm(maximum: float) -> Transform:
    """Gradients scaled down together when their norm exceeds the maximum.

    `g * min(1, maximum / norm)`: the direction stays.

    Source: R. Pascanu, T. Mikolov, Y. Bengio, On the difficulty of training recurrent neural
    networks, ICML 2013.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import optim
        >>> rule = optim.clip_by_global_norm(1.0)
        >>> updates, _ = rule.update({"w": rg.array([3.0, 4.0])}, (), None)
        >>> round(float(optim.global_norm(updates)), 4)
        1.0
    """
    if not check_number("The maximum of clip_by_global_norm", maximum) > 0:
        raise ArgumentError(f"clip_by_global_norm needs a maximum above 0, received {maximum}.")

    def update(gradients: Tree, state: Tree, parameters: Tree) -> tuple[Tree, Tree]:
        if not leaves(gradients):
            return gradients, state
        factor = minimum(maximum / (global_norm(gradients) + 1e-6), 1.0)
        return map_rows(lambda g: g * convert(factor, g.type.dtype), gradients), state

    return Transform(_no_state, update, key=("clip_by_global_norm", maximum))


def _check_not_negative(name: str, value: float) -> None:
    if not 0 <= check_number(name, value) < float("inf"):
        raise ArgumentError(f"{name} is a finite number of at least 0, received {value}.")


def _schedule_key(schedule: Callable[[Array], Any]) -> Any:
    """The schedule itself, where it can be compared."""
    try:
        hash(schedule)
    except TypeError:
        return None
    return ("schedule", schedule)

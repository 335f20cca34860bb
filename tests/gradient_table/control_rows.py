"""Rows of the primitives that hold programs."""

from __future__ import annotations

from typing import Any

import retrograd as rg
from tests.gradient_table.table import Row, anywhere


def _recurrent(carry: Any, x: Any) -> tuple[Any, Any]:
    following = rg.tanh(carry * 0.7 + x)
    return following, following * x


def _with_weights(weights: Any, start: Any, xs: Any) -> Any:
    return rg.scan(lambda h, x: (rg.tanh(h @ weights + x), (h * x).sum()), start, xs)


def _nested(start: Any, xs: Any) -> Any:
    def outer(carry: Any, rows: Any) -> tuple[Any, Any]:
        inner, values = rg.scan(lambda c, x: (c * rg.cos(x) + x * carry, c), carry, rows)
        return rg.sin(inner), values.sum()

    return rg.scan(outer, start, xs)


def _counting(start: Any, scale: Any) -> Any:
    """No xs; an integer counter in the carry."""

    def step(carry: Any, _: None) -> tuple[Any, Any]:
        value, count = carry
        return (rg.sin(value * scale) + count, count + 1), value

    (value, _), values = rg.scan(step, (start, rg.array(0)), None, length=4)
    return value, values


def _scan() -> list[Row]:
    two = (anywhere, anywhere)
    return [
        Row("scan", lambda c, xs: rg.scan(_recurrent, c, xs), two, ((3,), (4, 3)), "recurrent"),
        Row("scan", lambda c, xs: rg.scan(_recurrent, c, xs), two, ((), (1,)), "one_step"),
        Row("scan", lambda c, xs: rg.scan(_recurrent, c, xs), two, ((2,), (0, 2)), "no_step"),
        Row(
            "scan",
            lambda c, xs: rg.scan(_recurrent, c, xs, reverse=True),
            two,
            ((2,), (5, 2)),
            "reversed",
        ),
        Row("scan", _with_weights, (anywhere,) * 3, ((2, 2), (3, 2), (4, 3, 2)), "weights"),
        Row("scan", _nested, two, ((), (3, 2)), "nested"),
        Row("scan", _counting, two, ((2,), ()), "without_xs"),
        Row(
            "scan",
            lambda c, xs: rg.scan(lambda c, x: (c * rg.exp(x * 0.3), None), c, xs)[0],
            two,
            ((2,), (3, 2)),
            "without_output",
        ),
        Row(
            "scan",
            lambda xs: rg.scan(lambda c, x: (c, x * x), None, xs)[1],
            (anywhere,),
            ((3, 2),),
            "without_carry",
        ),
        Row(
            "scan",
            lambda c, w: rg.scan(lambda c, i: (c * w + i, c), c, rg.array([0, 1, 2])),
            two,
            ((2,), (2,)),
            "integer_xs",
        ),
        Row(
            "scan",
            lambda a, b: rg.scan(
                lambda c, x: ((c[1] * x, c[0]), c[0] * c[1]), (a, b), rg.array([0.5, 2.0, 1.5])
            ),
            two,
            ((2,), (2,)),
            "swapping",
        ),
    ]


def _checkpoint() -> list[Row]:
    two = (anywhere, anywhere)
    nested = rg.checkpoint(lambda a: rg.sin(rg.checkpoint(lambda b: rg.exp(rg.sin(b)))(a * a)))

    def captures(a: Any, b: Any) -> Any:
        return rg.checkpoint(lambda x: rg.sin(x * b))(a)

    def in_scan(a: Any, xs: Any) -> Any:
        return rg.scan(rg.checkpoint(_recurrent), a, xs)

    return [
        Row("checkpoint", rg.checkpoint(lambda a, b: rg.tanh(a @ b)), two, ((2, 3), (3, 2))),
        Row(
            "checkpoint",
            rg.checkpoint(lambda a: {"x": a * a, "y": [rg.cos(a), a]}),
            (anywhere,),
            ((3,),),
            "tree",
        ),
        Row("checkpoint", rg.checkpoint(rg.exp), (anywhere,), ((0, 2),), "empty"),
        Row("checkpoint", rg.checkpoint(rg.exp), (anywhere,), ((),), "number"),
        Row("checkpoint", nested, (anywhere,), ((3,),), "nested"),
        Row("checkpoint", captures, two, ((3,), (3,)), "captures"),
        Row("checkpoint", in_scan, two, ((2,), (3, 2)), "in_scan"),
        Row("checkpoint", rg.checkpoint(lambda a, b: a * rg.sin(a)), two, ((3,), (2,)), "unused"),
    ]


def _custom() -> list[Row]:
    """A true rule, written by hand; there is no forward mode through it."""
    times_sine = rg.custom_gradient(
        lambda a, b: a * rg.sin(b),
        lambda a, b: (a * rg.sin(b), (a, b)),
        lambda kept, g: (g * rg.sin(kept[1]), g * kept[0] * rg.cos(kept[1])),
    )
    pair = rg.custom_gradient(
        lambda t: (t["a"] * t["b"], rg.exp(t["a"])),
        lambda t: ((t["a"] * t["b"], rg.exp(t["a"])), t),
        lambda t, g: ({"a": g[0] * t["b"] + g[1] * rg.exp(t["a"]), "b": g[0] * t["a"]},),
    )
    two, reverse = (anywhere, anywhere), ("reverse",)
    return [
        Row("custom_gradient", times_sine, two, ((3,), (3,)), modes=reverse),
        Row("custom_gradient", times_sine, two, ((), ()), modes=reverse),
        Row("custom_gradient", times_sine, two, ((0,), (0,)), modes=reverse),
        Row(
            "custom_gradient",
            lambda a, b: pair({"a": a, "b": b}),
            two,
            ((2,), (2,)),
            "tree",
            modes=reverse,
        ),
        Row(
            "custom_gradient",
            lambda a, xs: rg.scan(lambda c, x: (times_sine(c, x), c), a, xs),
            two,
            ((2,), (3, 2)),
            "in_scan",
            modes=reverse,
        ),
        Row(
            "custom_gradient",
            rg.checkpoint(lambda a, b: rg.tanh(times_sine(a, b))),
            two,
            ((2,), (2,)),
            "in_checkpoint",
            modes=reverse,
        ),
    ]


def _cond() -> list[Row]:
    """Both branches, what they share and what one of them keeps alone."""
    two = (anywhere, anywhere)

    def either(a: Any, b: Any, positive: bool) -> Any:
        total = a.sum() * 0 + (1.0 if positive else -1.0)
        return rg.cond(
            total > 0,
            lambda a, b: {"x": rg.sin(a) * b, "y": rg.exp(a * b)},
            lambda a, b: {"x": b * b * rg.cos(b), "y": a},
            a,
            b,
        )

    def captures(a: Any, b: Any) -> Any:
        return rg.cond(True, lambda: rg.sin(a * b), lambda: rg.cos(b)) * a

    def in_scan(a: Any, xs: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            following = rg.cond(x.sum() > 0, lambda c: rg.tanh(c * x), lambda c: c * c - x, carry)
            return following, following * x

        return rg.scan(step, a, xs)

    nested = rg.checkpoint(
        lambda a: rg.cond(
            False,
            lambda a: a,
            lambda a: rg.cond(a.sum() > 99, rg.exp, lambda a: rg.sin(a) * a, a),
            a,
        )
    )
    return [
        Row("cond", lambda a, b: either(a, b, True), two, ((3,), (3,)), "true"),
        Row("cond", lambda a, b: either(a, b, False), two, ((3,), (3,)), "false"),
        Row("cond", lambda a, b: either(a, b, True), two, ((), ()), "numbers"),
        Row("cond", lambda a, b: either(a, b, False), two, ((0,), (0,)), "empty"),
        Row("cond", captures, two, ((3,), (3,)), "captures"),
        Row("cond", in_scan, two, ((2,), (4, 2)), "in_scan"),
        Row("cond", nested, (anywhere,), ((3,),), "nested"),
    ]


def _while() -> list[Row]:
    """Forward mode only: three steps, or as many as there are in an integer."""
    two, forward = (anywhere, anywhere), ("forward",)

    def three(a: Any, b: Any) -> Any:
        return rg.while_loop(
            lambda c: c[1] < 3, lambda c: (rg.sin(c[0] * b) + c[0], c[1] + 1), (a, 0)
        )[0]

    def in_scan(a: Any, b: Any) -> Any:
        return rg.scan(lambda c, x: (three(c, b) * x, None), a, rg.array([0.5, 2.0]))[0]

    return [
        Row("while_loop", three, two, ((3,), (3,)), modes=forward),
        Row("while_loop", three, two, ((), ()), modes=forward),
        Row("while_loop", three, two, ((0,), (0,)), modes=forward),
        Row("while_loop", in_scan, two, ((2,), (2,)), "in_scan", modes=forward),
    ]


ROWS: list[Row] = [*_scan(), *_checkpoint(), *_custom(), *_cond(), *_while()]

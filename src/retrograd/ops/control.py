"""checkpoint: a node that holds a Graph whose inner values are computed again when needed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ArgumentTypeError
from ..ir import ArrayType, Graph, Primitive, Transforms, declare, prune
from ..staging import describe, trace
from ..trace import Array, Recorder, bind, recording, replay
from .batch_rules import Batched
from .bodies import evaluate_body, infer_body
from .choice import cond, while_loop
from .custom import custom_gradient
from .loop import scan

__all__ = ["checkpoint", "cond", "custom_gradient", "scan", "while_loop"]


def _checkpoint_jvp(
    primals: Sequence[Array],
    tangents: Sequence[Array | None],
    *,
    body: Graph,
    transforms: Transforms,
) -> tuple[list[Array], list[Array | None]]:
    active = [position for position, tangent in enumerate(tangents) if tangent is not None]
    graph, floating = transforms.jvp(body, active)
    moving = [tangent for tangent in tangents if tangent is not None]
    results = bind(checkpoint_p, *primals, *moving, body=graph)
    count = len(body.outputs)
    leaving: list[Array | None] = [None] * count
    for order, position in enumerate(floating):
        leaving[position] = results[count + order]
    return results[:count], leaving


def _checkpoint_backward(
    residuals: Any,
    cotangents: Sequence[Array | None],
    needed: Sequence[bool],
    *,
    body: Graph,
    transforms: Transforms,
) -> list[Array | None]:
    inputs, _ = residuals
    wanted = [position for position, flag in enumerate(needed) if flag]
    given = [cotangent for cotangent in cotangents if cotangent is not None]
    graph = _recompute(body, wanted, [c.type for c in given], transforms)
    results = bind(checkpoint_p, *inputs, *given, body=graph)
    leaving: list[Array | None] = [None] * len(inputs)
    for position, value in zip(wanted, results, strict=True):
        leaving[position] = value
    return leaving


def _recompute(
    body: Graph, wanted: Sequence[int], types: Sequence[ArrayType], transforms: Transforms
) -> Graph:
    """The program (inputs, cotangents) -> cotangents of the inputs, the forward walk included."""
    key = f"recompute {tuple(wanted)}"
    if key not in body.cache:
        forward, backward, count = transforms.split(body, wanted)
        recorder = Recorder(f"{body.name}_recompute", abstract="a gradient program")
        with recording(recorder):
            inputs: list[Array] = [recorder.add_input(v.type, v.name) for v in body.inputs]
            given: list[Array] = [recorder.add_input(type, "cotangent") for type in types]
            outputs = replay(forward, inputs)
            residuals = outputs[len(outputs) - count :]
            gradients = replay(backward, [*residuals, *given])
            body.cache[key] = prune(recorder.finish(gradients))
    return body.cache[key]  # type: ignore[no-any-return]


def _checkpoint_batch(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    *,
    body: Graph,
    transforms: Transforms,
) -> Batched:
    graph, leaving = transforms.batch(body, mapped, size)
    return bind(primitive, *inputs, body=graph), list(leaving)


checkpoint_p = declare(
    "checkpoint",
    infer=infer_body,
    evaluate=evaluate_body,
    jvp=_checkpoint_jvp,
    backward=_checkpoint_backward,
    batch=_checkpoint_batch,
    holds_graphs=True,
)


def checkpoint(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose inner values are computed again in the backward pass, not kept.

    Memory for time: only the arguments are kept between the forward and the backward pass.

    Args:
        function: any function of Arrays, Modules and trees of them.

    Source: T. Chen et al., Training deep nets with sublinear memory cost (2016), arXiv:1604.06174.

    Example:
        >>> import retrograd as rg
        >>> f = rg.checkpoint(lambda x: rg.sin(rg.sin(x)).sum())
        >>> float(rg.grad(f)(rg.array(0.0)))
        1.0
    """
    if not callable(function):
        raise ArgumentTypeError(f"checkpoint takes a function, received {function!r:.60}.")

    @functools.wraps(function)
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        call = describe(arguments, keywords)
        staged = trace(
            function,
            call,
            lambda leaf: leaf.kind != "number",
            name=getattr(function, "__name__", "function"),
            trace_ambient=True,
        )
        outputs = bind(checkpoint_p, *staged.inputs(call), body=staged.graph)
        staged.write_back(call, outputs)
        return staged.rebuild(outputs)

    return wrapped

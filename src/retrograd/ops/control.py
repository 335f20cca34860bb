"""checkpoint and custom_gradient: nodes that hold a Graph and say how its gradient is made."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ..errors import ArgumentError, ArgumentTypeError, NotDifferentiableError
from ..ir import ArrayType, Graph, Transforms, declare, prune
from ..staging import build_result, describe, describe_result, trace
from ..trace import Array, Recorder, bind, recording, replay
from ..tree import open_container
from .loop import scan
from .promotion import as_array

__all__ = ["checkpoint", "custom_gradient", "scan"]


def _infer_body(*types: ArrayType, body: Graph, **parameters: Any) -> tuple[ArrayType, ...]:
    if types != body.input_types:
        raise ArgumentTypeError(f"{body.name} takes {body.input_types}, received {types}.")
    return body.output_types


def _evaluate_body(
    *arrays: Any, body: Graph, transforms: Transforms, **parameters: Any
) -> list[Any]:
    return transforms.evaluate(body, arrays)


# -- checkpoint ---------------------------------------------------------------------------------


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


checkpoint_p = declare(
    "checkpoint",
    infer=_infer_body,
    evaluate=_evaluate_body,
    jvp=_checkpoint_jvp,
    backward=_checkpoint_backward,
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


# -- custom_gradient ----------------------------------------------------------------------------


def _custom_jvp(*arguments: Any, **parameters: Any) -> Any:
    raise NotDifferentiableError(
        "A function with a custom_gradient has a backward rule only; forward mode (rg.jvp) was "
        "asked of it.",
        fix="use reverse mode (rg.grad, rg.vjp), or call the function without its custom gradient",
    )


def _custom_forward(
    inputs: Sequence[Array],
    needed: Sequence[bool],
    *,
    body: Graph,
    count: int,
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    transforms: Transforms,
) -> tuple[list[Array], Any]:
    if any(needed[count:]):
        raise NotDifferentiableError(
            f"{body.name} has a custom gradient and uses a differentiated value that is not one "
            "of its arguments.",
            fix="pass the value as an argument",
        )
    outputs, residuals = forward(inputs[:count])
    for position, (output, type) in enumerate(zip(outputs, body.output_types, strict=True)):
        if output.type != type:
            raise ArgumentTypeError(
                f"custom_gradient: the forward rule gives {output.type} for output {position}, "
                f"the function {type}."
            )
    return outputs, residuals


def _custom_backward(
    residuals: Any,
    cotangents: Sequence[Array | None],
    needed: Sequence[bool],
    *,
    body: Graph,
    count: int,
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    transforms: Transforms,
) -> list[Array | None]:
    leaving = backward(residuals, cotangents)
    return [*leaving, *([None] * (len(needed) - count))]


custom_p = declare(
    "custom_gradient",
    infer=_infer_body,
    evaluate=_evaluate_body,
    jvp=_custom_jvp,
    backward=_custom_backward,
    forward_with_residuals=_custom_forward,
    holds_graphs=True,
)


def custom_gradient(
    function: Callable[..., Any],
    forward: Callable[..., tuple[Any, Any]],
    backward: Callable[[Any, Any], tuple[Any, ...]],
) -> Callable[..., Any]:
    """A function with a gradient of your own, in two halves.

    Args:
        function: `function(*args) -> outputs`, used when no gradient is asked.
        forward: `forward(*args) -> (outputs, residuals)`; residuals are any tree of Arrays.
        backward: `backward(residuals, cotangents) -> one cotangent for each argument` (a tuple;
            None is zero); `cotangents` has the tree of the outputs.

    Raises:
        ArgumentError: the backward rule does not give one cotangent for each argument.

    Example:
        >>> import retrograd as rg
        >>> clipped = rg.custom_gradient(
        ...     lambda x: x,
        ...     lambda x: (x, None),
        ...     lambda residuals, g: (rg.clip(g, -1, 1),),
        ... )
        >>> float(rg.grad(lambda x: 5 * clipped(x))(3.0))
        1.0
    """

    @functools.wraps(function)
    def wrapped(*arguments: Any) -> Any:
        leaves: list[Array] = []
        template = describe_result([_arrays_in(item) for item in arguments], leaves)

        def flat_function(*values: Array) -> Any:
            return function(*build_result(template, values))

        call = describe(leaves, {})
        staged = trace(
            flat_function, call, lambda leaf: True, name=getattr(function, "__name__", "function")
        )

        def flat_forward(values: Sequence[Array]) -> tuple[list[Array], Any]:
            pair = forward(*build_result(template, values))
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise ArgumentTypeError(
                    "custom_gradient: the forward rule must return (outputs, residuals), received "
                    f"{_describe(pair)}.",
                    fix="return outputs, None if the backward rule needs nothing",
                )
            result, residuals = pair
            outputs: list[Array] = []
            describe_result(_arrays_in(result), outputs)
            return outputs, (residuals, list(values))

        def flat_backward(residuals: Any, cotangents: Sequence[Array | None]) -> list[Any]:
            kept, values = residuals
            given = backward(kept, build_result(staged.result, cotangents))
            return _match_cotangents(given, arguments, values)

        outputs = bind(
            custom_p,
            *staged.inputs(call),
            body=staged.graph,
            count=len(leaves),
            forward=flat_forward,
            backward=flat_backward,
        )
        return staged.rebuild(outputs)

    return wrapped


def _arrays_in(value: Any) -> Any:
    from ..tree import map as map_tree

    return map_tree(lambda leaf: as_array(leaf) if _is_number(leaf) else leaf, value)


def _is_number(value: Any) -> bool:
    import numpy as np

    return isinstance(value, (int, float, np.ndarray, np.generic)) and not isinstance(value, bool)


def _match_cotangents(
    given: Any, arguments: Sequence[Any], values: Sequence[Array]
) -> list[Array | None]:
    """The cotangents that a user's rule returned, leaf by leaf, checked."""
    if not isinstance(given, tuple) or len(given) != len(arguments):
        raise ArgumentError(
            f"custom_gradient: the backward rule must return a tuple of {len(arguments)} "
            f"cotangents, one for each argument; received {_describe(given)}.",
            fix="return (cotangent,) for one argument; None where the gradient is zero",
        )
    flat: list[Array | None] = []
    for cotangent, argument in zip(given, arguments, strict=True):
        _collect_cotangents(cotangent, argument, flat)
    for position, (part, value) in enumerate(zip(flat, values, strict=True)):
        if part is not None:
            part = flat[position] = as_array(part)
            if part.type != value.type:
                raise ArgumentError(
                    f"custom_gradient: the backward rule gives {part.type} for an argument of "
                    f"type {value.type}."
                )
    return [part if v.type.floating else None for part, v in zip(flat, values, strict=True)]


def _collect_cotangents(cotangent: Any, argument: Any, flat: list[Array | None]) -> None:
    """Walk a cotangent beside its argument; None stands for zeros in any place."""
    container = open_container(argument)
    if container is None:
        if isinstance(argument, Array) or _is_number(argument):
            if cotangent is not None and open_container(cotangent) is not None:
                _refuse_cotangent(cotangent, argument)
            flat.append(cotangent)
        return
    parts: Sequence[Any] = (None,) * len(container.children)
    if cotangent is not None:
        given = open_container(cotangent)
        if given is None or given.names != container.names:
            _refuse_cotangent(cotangent, argument)
        parts = given.children
    for part, child in zip(parts, container.children, strict=True):
        _collect_cotangents(part, child, flat)


def _refuse_cotangent(cotangent: Any, argument: Any) -> NoReturn:
    raise ArgumentError(
        f"custom_gradient: the backward rule gives {_describe(cotangent)} as the cotangent of "
        f"{_describe(argument)}.",
        fix="return a tree like the argument, with None where the gradient is zero",
    )


def _describe(value: Any) -> str:
    if isinstance(value, Array):
        return "an Array"
    count = f" of {len(value)}" if isinstance(value, (tuple, list, dict)) else ""
    return f"a {type(value).__name__}{count}"

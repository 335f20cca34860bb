"""custom_gradient: a node that holds a Graph, and a gradient in two halves from the user."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from ..errors import ArgumentError, ArgumentTypeError, NotDifferentiableError
from ..ir import Graph, Primitive, Transforms, declare
from ..staging import build_result, describe, describe_result, trace
from ..trace import Array, Recorder, bind, recording, replay
from ..tree import open_container
from .batch_rules import Batched, repeat_unmapped
from .bodies import evaluate_body, infer_body
from .promotion import as_array
from .reduce import sum_p


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


@dataclass(frozen=True, slots=True)
class _BatchedRules:
    """The user's two halves, written for one example, applied to all of them."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    mapped: list[bool]
    size: int
    transforms: Transforms

    def run_forward(self, values: Sequence[Array]) -> tuple[list[Array], Any]:
        leaves: list[Array] = []
        count, template = 0, None

        def rule(examples: list[Array]) -> list[Array]:
            nonlocal count, template
            outputs, residuals = self.forward(examples)
            count, template = len(outputs), describe_result(residuals, leaves)
            return [*outputs, *leaves]

        results, flags = self._run(rule, values, self.mapped)
        outputs = repeat_unmapped(results[:count], flags[:count], self.size)
        return outputs, (template, results[count:], flags[count:])

    def run_backward(
        self, residuals: Any, cotangents: Sequence[Array | None]
    ) -> list[Array | None]:
        template, kept, flags = residuals
        given = [cotangent for cotangent in cotangents if cotangent is not None]
        missing: list[bool] = []

        def rule(examples: list[Array]) -> list[Array]:
            arriving = iter(examples[len(kept) :])
            filled = [None if c is None else next(arriving) for c in cotangents]
            leaving = self.backward(build_result(template, examples[: len(kept)]), filled)
            missing.extend(cotangent is None for cotangent in leaving)
            return [cotangent for cotangent in leaving if cotangent is not None]

        everywhere = [*flags, *([True] * len(given))]
        results, leaving = self._run(rule, [*kept, *given], everywhere)
        found = iter(repeat_unmapped(results, leaving, self.size))
        full = [None if absent else next(found) for absent in missing]
        # What all examples share gets the sum of their cotangents.
        return [
            cotangent if cotangent is None or flag else bind(sum_p, cotangent, axes=(0,))[0]
            for cotangent, flag in zip(full, self.mapped, strict=True)
        ]

    def _run(
        self,
        rule: Callable[[list[Array]], list[Array]],
        values: Sequence[Array],
        mapped: Sequence[bool],
    ) -> tuple[list[Array], tuple[bool, ...]]:
        recorder = Recorder("custom_rule", abstract="a function under vmap")
        with recording(recorder):
            examples: list[Array] = [
                recorder.add_input(x.type.with_shape(x.type.shape[1:]) if flag else x.type)
                for x, flag in zip(values, mapped, strict=True)
            ]
            graph = recorder.finish(rule(examples))
            captured = recorder.captured_arrays()
        flags = [*mapped, *([False] * len(captured))]
        batched, leaving = self.transforms.batch(graph, flags, self.size)
        return replay(batched, [*values, *captured]), leaving


def _custom_batch(
    primitive: Primitive,
    inputs: Sequence[Array],
    mapped: Sequence[bool],
    size: int,
    /,
    *,
    body: Graph,
    count: int,
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    transforms: Transforms,
) -> Batched:
    graph, leaving = transforms.batch(body, mapped, size, [True] * len(body.outputs))
    rules = _BatchedRules(forward, backward, list(mapped[:count]), size, transforms)
    outputs = bind(
        primitive,
        *inputs,
        body=graph,
        count=count,
        forward=lambda values: rules.run_forward(values),
        backward=lambda residuals, cotangents: rules.run_backward(residuals, cotangents),
    )
    return outputs, list(leaving)


custom_p = declare(
    "custom_gradient",
    infer=infer_body,
    evaluate=evaluate_body,
    jvp=_custom_jvp,
    backward=_custom_backward,
    forward_with_residuals=_custom_forward,
    batch=_custom_batch,
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

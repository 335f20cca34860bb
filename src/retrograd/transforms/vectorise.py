"""vmap: a function of one example, applied to many at once."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import batching
from ..errors import ArgumentError, ArgumentTypeError, ShapeError, hide_internal_frames
from ..ops.batch_rules import move_axis, repeat
from ..ops.random import default_generator, fold_state
from ..ops.shape import check_axis
from ..staging import Call, Leaf, Staged, Template, build_result, describe, trace
from ..trace import Array
from ..tree import open_container
from .arguments import Function, check_function, parameter_names
from .graphs import apply_graph


def vmap(function: Function, in_axes: Any = 0, out_axes: Any = 0) -> Function:
    """The function of one example as a function of many: a loop over examples, without the loop.

    `vmap(f)(xs, ys)[n] = f(xs[n], ys[n])`. The function is traced once with one example; each
    operation is then applied to all examples at once (a product with one matrix becomes one
    larger product). It goes together with the other transforms: `vmap(grad(f))` gives the
    gradient of each example.

    Args:
        function: any function of Arrays, Modules and trees of them. It is written for one example:
            its arguments come without the axis of the examples.
        in_axes: where the examples lie: an axis for all arguments, or a tuple with an entry for
            each positional argument. An entry is an axis, None for an argument that all examples
            share, or a tree of these like the argument. One axis for all arguments leaves out
            Modules and Optimizers, which all examples share; an ensemble of Modules, whose leaves
            are stacked, is asked for with its own entry. Keyword arguments have the examples on
            axis 0, but for Modules and numbers.
        out_axes: where the examples go in the result: an axis, or a tree of axes like the result;
            None for a part that is the same for all examples.

    Returns:
        A function that takes and gives the examples along these axes. Random numbers that
        `function` draws from the default generator are independent for each example; those of a
        generator of your own, made outside, are the same for all.

    Raises:
        ShapeError: arguments have different numbers of examples, or no such axis.
        StateError: the function changes a Module.

    Example:
        >>> import retrograd as rg
        >>> def loss(w, x):
        ...     return (w * x).sum() ** 2
        >>> w, xs = rg.array([1.0, 2.0]), rg.array([[1.0, 0.0], [0.0, 1.0]])
        >>> rg.vmap(rg.grad(loss), in_axes=(None, 0))(w, xs).numpy()
        array([[2., 0.],
               [0., 4.]], dtype=float32)
    """
    check_function(function, "vmap")

    @functools.wraps(function)
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        try:
            return _apply(function, in_axes, out_axes, arguments, keywords)
        except Exception as error:
            hide_internal_frames(error)
            raise

    return wrapped


def _apply(
    function: Function,
    in_axes: Any,
    out_axes: Any,
    arguments: Sequence[Any],
    keywords: dict[str, Any],
) -> Any:
    call = describe(arguments, keywords, parameter_names(function))
    axes = find_axes(call, in_axes)
    size = _count_examples(call, axes)
    whole = {
        index: move_axis(call.leaves[index].as_array(), axis, 0) for index, axis in axes.items()
    }
    for index, array in whole.items():
        # One example stands for all while tracing: only its type counts.
        leaf, shape = call.leaves[index], array.type.shape[1:]
        leaf.value = Array(np.broadcast_to(np.zeros((), array.type.dtype), shape))
        leaf.kind = "array"
    mapped_leaves = {id(call.leaves[index]) for index in axes}
    number = Leaf(Array(np.zeros((), np.int32)), "example", "array", False, True, "example")
    draws: list[bool] = []

    def example(*given: Any, **named: Any) -> Any:
        with fold_state(named.pop(EXAMPLE)) as drawn:
            result = function(*given, **named)
        draws.extend(drawn)
        return result

    call.leaves.append(number)
    position = len(call.leaves) - 1
    call = Call(call.description, call.arguments, (*call.keywords, (EXAMPLE, ("leaf", position))))
    staged = trace(
        example,
        call,
        lambda leaf: id(leaf) in mapped_leaves or leaf is number,
        name=getattr(function, "__name__", "function"),
        abstract="a function under vmap",
        forbid_changes="vmap",
    )
    if draws:
        default_generator().advance()
    numbers = Array(np.arange(size, dtype=np.int32))
    inputs = [numbers if i == position else whole[i] for i in staged.input_leaves]
    flags = [True] * len(inputs) + [False] * len(staged.captured)
    graph, leaving = batching.batch_graph(staged.graph, flags, size)
    outputs = apply_graph(graph, [*inputs, *staged.captured])
    return _place_outputs(staged, outputs, leaving, out_axes, size)


EXAMPLE = "number of the example"  # no parameter's name


# -- in_axes --------------------------------------------------------------------------------------


def find_axes(call: Call, in_axes: Any) -> dict[int, int]:
    """The axis of the examples for each leaf that has one."""
    everywhere = in_axes is None or _is_axis(in_axes)
    if not everywhere and not isinstance(in_axes, (tuple, list)):
        raise ArgumentTypeError(
            f"vmap: in_axes is an axis, None, or a tuple with an entry for each argument; received "
            f"{in_axes!r:.60}.",
            fix="write in_axes=(None, 0): the first argument is shared, the second has the "
            "examples on axis 0",
        )
    if not everywhere and len(in_axes) != len(call.arguments):
        raise ArgumentError(
            f"vmap: in_axes={in_axes!r} has {len(in_axes)} entries, and the function was called "
            f"with {len(call.arguments)} positional arguments.",
            fix="give one entry for each positional argument: an axis, or None where all examples "
            "share it",
        )
    found: dict[int, int] = {}
    for position, template in enumerate(call.arguments):
        spec = in_axes if everywhere else in_axes[position]
        _collect_axes(call, template, spec, found, not everywhere, f"argument {position}")
    for name, template in call.keywords:
        _collect_keyword(call, template, found, name)
    if not found:
        raise ArgumentError(
            "vmap: no argument has examples to map over.",
            fix="pass an Array with an axis of examples and name that axis in in_axes",
        )
    return found


def _is_axis(spec: Any) -> bool:
    return hasattr(spec, "__index__") and not isinstance(spec, bool)


def _collect_keyword(call: Call, template: Template, found: dict[int, int], name: str) -> None:
    for index in _leaves_of(template, False):
        if call.leaves[index].kind != "number":
            found[index] = _check_leaf(call.leaves[index], 0)


def _collect_axes(
    call: Call, template: Template, spec: Any, found: dict[int, int], asked: bool, place: str
) -> None:
    """Walk an argument beside its part of in_axes; `asked`: it was named, so Modules are mapped."""
    if spec is None:
        return
    if _is_axis(spec):
        for index in _leaves_of(template, asked):
            found[index] = _check_leaf(call.leaves[index], spec.__index__())
        return
    container = open_container(spec)
    if container is None or template[0] != "container" or template[1] != container.kind:
        raise ArgumentTypeError(
            f"vmap: the entry {spec!r:.60} of in_axes is not a tree like {place}.",
            fix="an entry is an axis, None, or a tree of these like the argument",
        )
    for part, child in zip(container.children, template[2], strict=True):
        _collect_axes(call, child, part, found, asked, place)


def _leaves_of(template: Template, objects: bool) -> Iterator[int]:
    """The leaves in a template; those of Modules and Optimizers only with `objects`."""
    if template[0] == "leaf":
        yield template[1]
    elif template[0] == "container":
        for child in template[2]:
            yield from _leaves_of(child, objects)
    elif template[0] == "object" and objects:
        for _, child in template[3]:
            yield from _leaves_of(child, objects)


def _check_leaf(leaf: Leaf, axis: int) -> int:
    if leaf.kind == "number":
        raise ArgumentTypeError(
            f"vmap: argument {leaf.path!r} is the number {leaf.value!r}, which has no axis of "
            "examples.",
            fix="share it with all examples: None in its place of in_axes",
        )
    shape = leaf.value.shape
    if not -len(shape) <= axis < len(shape):
        raise ShapeError(
            f"vmap: argument {leaf.path!r} of shape {tuple(shape)} has no axis {axis} for the "
            "examples.",
            fix="name another axis in in_axes, or None if all examples share it",
        )
    return axis % len(shape)


def _count_examples(call: Call, axes: dict[int, int]) -> int:
    sizes = {index: call.leaves[index].value.shape[axis] for index, axis in axes.items()}
    if len(set(sizes.values())) > 1:
        first: dict[int, int] = {}
        for index, size in sizes.items():
            first.setdefault(size, index)
        listed = ", ".join(
            f"{call.leaves[index].path!r} has {size} along axis {axes[index]} (shape "
            f"{tuple(call.leaves[index].value.shape)})"
            for size, index in first.items()
        )
        raise ShapeError(
            f"vmap: the numbers of examples differ: {listed}.",
            fix="name the right axis of each argument in in_axes, or None if all examples share it",
        )
    return int(next(iter(sizes.values())))


# -- out_axes -------------------------------------------------------------------------------------


def _place_outputs(
    staged: Staged, outputs: list[Array], leaving: Sequence[bool], out_axes: Any, size: int
) -> Any:
    """The result, with the examples of each part along the axis that is wanted."""
    placed: list[Any] = list(outputs)

    def place(template: Template, spec: Any) -> None:
        if template[0] == "leaf":
            placed[template[1]] = _place(outputs[template[1]], leaving[template[1]], spec, size)
        elif template[0] == "container":
            if spec is None or _is_axis(spec):
                parts: Sequence[Any] = [spec] * len(template[2])
            else:
                container = open_container(spec)
                if container is None or container.kind != template[1]:
                    raise ArgumentTypeError(
                        f"vmap: out_axes={out_axes!r} is not a tree like the function's result.",
                        fix="give one axis for all, or a tree of axes like the result",
                    )
                parts = container.children
            for child, part in zip(template[2], parts, strict=True):
                place(child, part)

    place(staged.result, out_axes)
    return build_result(staged.result, placed)


def _place(output: Array, mapped: bool, spec: Any, size: int) -> Array:
    if spec is None:
        if mapped:
            raise ArgumentError(
                "vmap: out_axes is None for a result that differs from example to example.",
                fix="name the axis for the examples, e.g. 0",
            )
        return output
    if not _is_axis(spec):
        raise ArgumentTypeError(f"vmap: out_axes takes axes and None, received {spec!r:.60}.")
    whole = output if mapped else repeat(output, size)
    return move_axis(whole, 0, check_axis(spec, whole.type.ndim, "vmap: out_axes"))


__all__ = ["vmap"]

"""grad, value_and_grad, vjp, jvp, jacobian, hessian: functions in, functions out."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import backprop, forward_mode, interpret
from .errors import (
    ArgumentError,
    ArgumentTypeError,
    NotDifferentiableError,
    ShapeError,
    hide_internal_frames,
)
from .ir import Graph
from .ops.control import scan
from .ops.promotion import as_array, convert
from .ops.shape import reshape
from .staging import Call, Leaf, Staged, Template, build_result, describe, trace
from .trace import Array, Tracer, install_transforms, replay
from .tree import Stateful, flatten, open_container, rebuild_container, unflatten

Function = Callable[..., Any]


class _Transforms:
    """What primitives that hold Graphs are given."""

    def evaluate(self, graph: Graph, arrays: Sequence[Any]) -> list[Any]:
        return interpret.run(graph, arrays)

    def split(self, graph: Graph, wanted: Sequence[int]) -> tuple[Graph, Graph, int]:
        key = f"split {tuple(wanted)}"
        if key not in graph.cache:
            graph.cache[key] = backprop.split(graph, wanted)
        return graph.cache[key]  # type: ignore[no-any-return]

    def jvp(self, graph: Graph, active: Sequence[int]) -> tuple[Graph, tuple[int, ...]]:
        key = f"jvp {tuple(active)}"
        if key not in graph.cache:
            graph.cache[key] = forward_mode.jvp_graph(graph, active)
        return graph.cache[key]  # type: ignore[no-any-return]


install_transforms(_Transforms())


def apply_graph(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """Run a program: with NumPy on plain Arrays, node by node when a value is being traced."""
    if any(isinstance(value, Tracer) for value in inputs):
        return replay(graph, inputs)
    return [Array(value) for value in interpret.run(graph, [x.concrete() for x in inputs])]


def parameter_names(function: Function) -> list[str]:
    """The names of a function's positional parameters, as far as they are known."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _check_function(function: Any, transform: str) -> None:
    if not callable(function):
        raise ArgumentTypeError(
            f"{transform} takes a function, received {type(function).__name__}.",
            fix=f"write rg.{transform}(loss_fn)(model, x, y): first the function, then its "
            "arguments",
        )


def _positions(argnums: int | Sequence[int], count: int, transform: str) -> tuple[int, ...]:
    given = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    result = []
    for position in given:
        if not isinstance(position, int) or not -count <= position < count:
            raise ArgumentError(
                f"{transform}: argnums={argnums} names an argument that is not there; the "
                f"function was called with {count} positional arguments."
            )
        result.append(position % count)
    return tuple(result)


class _Gradients:
    """Which leaves of which arguments are differentiated, and what their gradient tree is."""

    def __init__(self, call: Call, positions: tuple[int, ...], transform: str) -> None:
        self.call = call
        self.positions = positions
        self.wanted = [
            index for index, leaf in enumerate(call.leaves) if self._is_wanted(leaf, transform)
        ]
        self.place = {index: order for order, index in enumerate(self.wanted)}

    def _is_wanted(self, leaf: Leaf, transform: str) -> bool:
        if leaf.argument not in self.positions:
            return False
        if leaf.kind == "number":
            if not isinstance(leaf.value, float):
                raise NotDifferentiableError(
                    f"{transform}: argument {leaf.path!r} is the integer {leaf.value}; gradients "
                    "exist for floating numbers only.",
                    fix=f"pass {float(leaf.value)}, or choose other argnums",
                )
            return True
        dtype = leaf.value.dtype
        if dtype.kind != "f":
            if leaf.in_object:
                return False
            raise NotDifferentiableError(
                f"{transform}: argument {leaf.path!r} has dtype {dtype.name}; gradients exist "
                "for floating numbers only.",
                fix="convert it with .astype('float32'), or choose other argnums",
            )
        return leaf.trainable or not leaf.in_object

    def select(self, leaf: Leaf) -> bool:
        return any(leaf is self.call.leaves[index] for index in self.wanted)

    def build(self, template: Template, values: Sequence[Any]) -> Any:
        """The tree of an argument with gradients in the place of leaves."""
        form = template[0]
        if form == "leaf":
            return values[self.place[template[1]]]
        if form == "container":
            return rebuild_container(template[1], [self.build(c, values) for c in template[2]])
        if form in ("object", "seen"):
            owner = self.call.description.objects[template[1]]
            by_id = {
                id(self.call.leaves[index].value): values[order]
                for order, index in enumerate(self.wanted)
            }
            return _map_parameters(owner, by_id)
        return template[1].value


def _map_parameters(owner: Stateful, by_id: dict[int, Any]) -> Any:
    if not hasattr(owner, "parameters"):
        raise ArgumentTypeError(f"There are no gradients by a {type(owner).__name__}.")
    leaves, structure = flatten(owner.parameters())
    return unflatten(structure, [by_id[id(leaf)] for leaf in leaves])


def _stage(
    function: Function,
    arguments: Sequence[Any],
    keywords: dict[str, Any],
    argnums: int | Sequence[int],
    transform: str,
    forbid_changes: str | None = None,
) -> tuple[_Gradients, Staged]:
    call = describe(arguments, keywords, parameter_names(function))
    gradients = _Gradients(call, _positions(argnums, len(arguments), transform), transform)
    for index in gradients.wanted:
        leaf = call.leaves[index]
        if leaf.kind == "number":
            leaf.value, leaf.kind = as_array(leaf.value), "array"
        elif leaf.kind == "ndarray":
            leaf.value, leaf.kind = leaf.as_array(), "array"
    staged = trace(
        function,
        call,
        gradients.select,
        name=getattr(function, "__name__", "function"),
        forbid_changes=forbid_changes,
    )
    return gradients, staged


def value_and_grad(
    function: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Function:
    """The function that returns the value and the gradient of a scalar function.

    Args:
        function: returns a scalar, or `(scalar, aux)` with `has_aux`.
        argnums: which positional arguments to differentiate by; a tuple gives a tuple.
        has_aux: the function returns something else besides, which is passed on.

    Returns:
        A function that returns `(value, gradients)`, with `has_aux` `((value, aux), gradients)`.
        Gradients have the tree of the argument; for a Module that of `model.parameters()`.

    Raises:
        ShapeError: the value is not a scalar.
        NotDifferentiableError: an argument or the value is not floating.

    Example:
        >>> import retrograd as rg
        >>> value, gradient = rg.value_and_grad(lambda x: (x * x).sum())(rg.array([1.0, 2.0]))
        >>> float(value), gradient.numpy()
        (5.0, array([2., 4.], dtype=float32))
    """
    _check_function(function, "value_and_grad")

    @functools.wraps(function)
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        try:
            gradients, staged = _stage(function, arguments, keywords, argnums, "value_and_grad")
            _check_scalar(staged, has_aux)
            graph = backprop.differentiate(staged.graph, range(len(gradients.wanted)))
            inputs = staged.inputs(gradients.call)
            seeds = []
            for position, type in enumerate(staged.graph.output_types):
                if type.floating:
                    seed = np.ones if position == 0 else np.zeros
                    seeds.append(Array(np.broadcast_to(seed((), type.dtype), type.shape)))
            outputs = apply_graph(graph, [*inputs, *seeds])
            count = len(staged.graph.outputs)
            trees = tuple(
                gradients.build(gradients.call.arguments[position], outputs[count:])
                for position in gradients.positions
            )
            result = staged.rebuild(outputs)
            staged.write_back(gradients.call, outputs)
            return result, trees[0] if isinstance(argnums, int) else trees
        except Exception as error:
            raise hide_internal_frames(error)

    return wrapped


def grad(function: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """The gradient of a scalar function: `grad(f)(x) = df/dx`.

    Args:
        function, argnums, has_aux: as for `value_and_grad`.

    Returns:
        A function that returns the gradients, with `has_aux` `(gradients, aux)`. Arguments that
        the value does not depend on get zeros.

    Example:
        >>> import retrograd as rg
        >>> float(rg.grad(lambda x: x ** 3)(2.0))
        12.0
        >>> float(rg.grad(rg.grad(lambda x: x ** 3))(2.0))
        12.0
    """
    _check_function(function, "grad")
    both = value_and_grad(function, argnums, has_aux)

    @functools.wraps(function)
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        value, gradients = both(*arguments, **keywords)
        return (gradients, value[1]) if has_aux else gradients

    return wrapped


def _check_scalar(staged: Staged, has_aux: bool) -> None:
    template = staged.result
    if has_aux:
        pair = template[0] == "container" and template[1][0] == "tuple" and len(template[2]) == 2
        if not pair:
            raise ArgumentTypeError("With has_aux=True the function returns (value, aux).")
        template = template[2][0]
    if template[0] != "leaf" or template[1] != 0:
        raise ArgumentTypeError(
            "The function to differentiate must return a scalar Array.",
            fix="return the loss alone, or (loss, aux) with has_aux=True",
        )
    type = staged.graph.output_types[0]
    if type.shape != ():
        raise ShapeError(
            f"The function to differentiate must return a scalar, received shape {type.shape}.",
            fix="reduce it with .sum() or .mean(), or use rg.jacobian or rg.vjp",
        )
    if not type.floating:
        raise NotDifferentiableError(f"The value has dtype {type.dtype.name}, not a floating one.")


def vjp(function: Function, *primals: Any) -> tuple[Any, Function]:
    """The value, and the function that carries a cotangent back: `v -> v^T J`.

    Args:
        function: any function of Arrays and trees of them.
        primals: its arguments, all of which are differentiated.

    Returns:
        `(value, pullback)`; `pullback(cotangent)` takes a tree like the value and gives a tuple
        with one cotangent tree for each primal.

    Example:
        >>> import retrograd as rg
        >>> value, pullback = rg.vjp(lambda x: x * x, rg.array([1.0, 2.0]))
        >>> pullback(rg.array([1.0, 10.0]))[0].numpy()
        array([ 2., 40.], dtype=float32)
    """
    _check_function(function, "vjp")
    try:
        gradients, staged = _stage(function, primals, {}, range(len(primals)), "vjp")
        forward, backward, count = backprop.split(staged.graph, range(len(gradients.wanted)))
        outputs = apply_graph(forward, staged.inputs(gradients.call))
        results = outputs[: len(outputs) - count]
        residuals = outputs[len(outputs) - count :]
        staged.write_back(gradients.call, results)
    except Exception as error:
        raise hide_internal_frames(error)
    value = staged.rebuild(results)

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        try:
            given = _match_tangents(cotangent, staged, results, "pullback")
            leaving = apply_graph(backward, [*residuals, *given])
            return tuple(gradients.build(t, leaving) for t in gradients.call.arguments)
        except Exception as error:
            raise hide_internal_frames(error)

    return value, pullback


def _match_tangents(
    tree: Any, staged: Staged, results: Sequence[Array], operation: str
) -> list[Array]:
    """One cotangent for each floating output; zeros for outputs that are changes of state."""
    from .ops.elementwise import zeros_like

    found: dict[int, Any] = {}
    _match(tree, staged.result, found, operation)
    given = []
    for position, output in enumerate(results):
        if not output.type.floating:
            continue
        if position in found and found[position] is not None:
            given.append(_fit(found[position], output, operation))
        else:
            given.append(zeros_like(output))
    return given


def _match(tree: Any, template: Template, found: dict[int, Any], operation: str) -> None:
    if template[0] == "leaf":
        found[template[1]] = tree
    elif template[0] == "container":
        container = open_container(tree)
        if container is None or container.kind != template[1]:
            raise ArgumentTypeError(f"{operation}: the cotangent's tree is not the value's.")
        for child, part in zip(container.children, template[2], strict=True):
            _match(child, part, found, operation)


def _fit(value: Any, like: Array, operation: str) -> Array:
    array = convert(as_array(value), like.type.dtype)
    if array.type.shape != like.type.shape:
        raise ShapeError(
            f"{operation}: expected shape {like.type.shape}, received {array.type.shape}."
        )
    return array


def jvp(function: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value and its directional derivative: `(f(x), J v)`.

    Args:
        function: any function of Arrays and trees of them.
        primals: its arguments, a tuple.
        tangents: a tuple of the same trees; None for an argument that does not move.

    Example:
        >>> import retrograd as rg
        >>> value, tangent = rg.jvp(rg.sin, (0.0,), (2.0,))
        >>> float(tangent)
        2.0
    """
    _check_function(function, "jvp")
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise ArgumentTypeError("jvp takes its primals and tangents as tuples.")
    if len(primals) != len(tangents):
        raise ArgumentError(f"jvp: {len(primals)} primals, but {len(tangents)} tangents.")
    moving = [position for position, tangent in enumerate(tangents) if tangent is not None]
    try:
        gradients, staged = _stage(function, primals, {}, moving, "jvp")
        inputs = staged.inputs(gradients.call)
        directions = _tangent_leaves(gradients, tangents)
        graph, floating = forward_mode.jvp_graph(staged.graph, range(len(directions)))
        outputs = apply_graph(graph, [*inputs, *directions])
        count = len(staged.graph.outputs)
        staged.write_back(gradients.call, outputs)
        leaving: list[Any] = [None] * count
        for order, position in enumerate(floating):
            leaving[position] = outputs[count + order]
        return staged.rebuild(outputs), build_result(staged.result, leaving)
    except Exception as error:
        raise hide_internal_frames(error)


def _tangent_leaves(gradients: _Gradients, tangents: Sequence[Any]) -> list[Array]:
    found: dict[int, Any] = {}
    for position in gradients.positions:
        template, tangent = gradients.call.arguments[position], tangents[position]
        if template[0] in ("object", "seen"):
            owner = gradients.call.description.objects[template[1]]
            leaves, _ = flatten(owner.parameters())  # type: ignore[attr-defined]
            given, _ = flatten(tangent)
            if len(given) != len(leaves):
                raise ArgumentError("jvp: the tangent's tree is not that of model.parameters().")
            by_id = {id(leaf): item for leaf, item in zip(leaves, given, strict=True)}
            for index in gradients.wanted:
                if id(gradients.call.leaves[index].value) in by_id:
                    found[index] = by_id[id(gradients.call.leaves[index].value)]
        else:
            _match(tangent, template, found, "jvp")
    return [
        _fit(found[index], gradients.call.leaves[index].as_array(), "jvp")
        for index in gradients.wanted
    ]


def jacobian(function: Function, argnums: int = 0) -> Function:
    """The matrix of all partial derivatives: `J[i..., j...] = d f(x)[i...] / d x[j...]`.

    Args:
        function: from an Array to an Array.
        argnums: which argument to differentiate by.

    Returns:
        A function that gives an Array of the value's shape followed by the argument's.

    Example:
        >>> import retrograd as rg
        >>> rg.jacobian(lambda x: x * x)(rg.array([1.0, 2.0])).numpy()
        array([[2., 0.],
               [0., 4.]], dtype=float32)
    """
    _check_function(function, "jacobian")

    @functools.wraps(function)
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        gradients, staged = _stage(
            function, arguments, keywords, argnums, "jacobian", forbid_changes="jacobian"
        )
        if staged.result[0] != "leaf" or len(gradients.wanted) != 1:
            raise ArgumentTypeError(
                "jacobian takes a function from one Array to one Array.",
                fix="concatenate what you differentiate by into one Array, or use rg.vjp",
            )
        forward, backward, count = backprop.split(staged.graph, [0])
        outputs = apply_graph(forward, staged.inputs(gradients.call))
        value, residuals = outputs[0], outputs[len(outputs) - count :]
        size = value.type.size
        shape = gradients.call.leaves[gradients.wanted[0]].as_array().type.shape
        basis = Array(np.eye(size, dtype=value.type.dtype).reshape(size, *value.type.shape))

        def carry_back(carry: Any, cotangent: Array) -> tuple[Any, Array]:
            return carry, replay(backward, [*residuals, cotangent])[0]

        _, rows = scan(carry_back, None, basis)
        return reshape(rows, value.type.shape + shape)

    return wrapped


def hessian(function: Function, argnums: int = 0) -> Function:
    """The matrix of second derivatives of a scalar function: the jacobian of its gradient.

    Returns:
        A function that gives an Array of the argument's shape twice.

    Example:
        >>> import retrograd as rg
        >>> rg.hessian(lambda x: (x ** 3).sum())(rg.array([1.0, 2.0])).numpy()
        array([[ 6.,  0.],
               [ 0., 12.]], dtype=float32)
    """
    return jacobian(grad(function, argnums), argnums)

"""Which arguments are differentiated, and how their gradients are put together again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..errors import ArgumentError, ArgumentTypeError, NotDifferentiableError, ShapeError
from ..ops.elementwise import zeros_like
from ..ops.promotion import as_array, convert
from ..staging import Call, Leaf, Staged, Template, describe, trace
from ..trace import Array
from ..tree import Stateful, flatten, open_container, rebuild_container, unflatten

Function = Callable[..., Any]


def parameter_names(function: Function) -> list[str]:
    """The names of a function's positional parameters, as far as they are known."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def check_function(function: Any, transform: str) -> None:
    if not callable(function):
        raise ArgumentTypeError(
            f"{transform} takes a function, received {type(function).__name__}.",
            fix=f"write rg.{transform}(loss_fn)(model, x, y): first the function, then its "
            "arguments",
        )


def find_positions(argnums: int | Sequence[int], count: int, transform: str) -> tuple[int, ...]:
    given = tuple(argnums) if isinstance(argnums, Iterable) else (argnums,)
    result = []
    for position in given:
        if not isinstance(position, int) or not -count <= position < count:
            raise ArgumentError(
                f"{transform}: argnums={argnums!r} names an argument that is not there; the "
                f"function was called with {count} positional arguments.",
                fix="pass what is differentiated by position, and name it by its number: 0 is the "
                "first",
            )
        result.append(position % count)
    return tuple(result)


class Differentiated:
    """Which leaves of which arguments are differentiated, and what their gradient tree is."""

    def __init__(self, call: Call, positions: tuple[int, ...], transform: str) -> None:
        self.call = call
        self.positions = positions
        for position in positions:
            _refuse_static(call.arguments[position], position, transform)
        self.wanted = [
            index for index, leaf in enumerate(call.leaves) if self._is_wanted(leaf, transform)
        ]
        self.place = {index: order for order, index in enumerate(self.wanted)}
        self.tables = self._find_tables()

    def _find_tables(self) -> dict[int, int | None]:
        """The wanted leaves whose gradient is a RowGradient, and a row of each that has none."""
        orders = {id(self.call.leaves[n].value): order for n, order in self.place.items()}
        found = {}
        for owner in self.call.description.objects:
            for name, skipped in owner.row_tables().items():
                order = orders.get(id(getattr(owner, name)))
                if order is not None:
                    found[order] = skipped
        return found

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


def _refuse_static(template: Template, position: int, transform: str) -> None:
    """An argument that is no Array, number, Module or tree of them has no gradient."""
    if template[0] == "static":
        value = template[1].value
        kept = bool(getattr(value, "__dict__", None)) and not isinstance(value, type)
        raise NotDifferentiableError(
            f"{transform}: argument {position} is {value!r:.60} ({type(value).__name__}); "
            "gradients exist for Arrays, floats, Modules, and dicts, lists and tuples of them.",
            fix="make its class an nn.Module, or a dataclass"
            if kept
            else "choose other argnums, or pass it by keyword",
        )


def _map_parameters(owner: Stateful, by_id: dict[int, Any]) -> Any:
    if not hasattr(owner, "parameters"):
        raise ArgumentTypeError(f"There are no gradients by a {type(owner).__name__}.")
    leaves, structure = flatten(owner.parameters())
    return unflatten(structure, [by_id[id(leaf)] for leaf in leaves])


def stage(
    function: Function,
    arguments: Sequence[Any],
    keywords: dict[str, Any],
    argnums: int | Sequence[int],
    transform: str,
    forbid_changes: str | None = None,
) -> tuple[Differentiated, Staged]:
    call = describe(arguments, keywords, parameter_names(function))
    gradients = Differentiated(call, find_positions(argnums, len(arguments), transform), transform)
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


def match_tangents(
    tree: Any, staged: Staged, results: Sequence[Array], operation: str
) -> list[Array]:
    """One cotangent for each floating output; zeros for outputs that are changes of state."""
    found: dict[int, Any] = {}
    match(tree, staged.result, found, operation)
    given = []
    for position, output in enumerate(results):
        if not output.type.floating:
            continue
        if position in found and found[position] is not None:
            given.append(fit(found[position], output, operation))
        else:
            given.append(zeros_like(output))
    return given


def match(tree: Any, template: Template, found: dict[int, Any], operation: str) -> None:
    if template[0] == "leaf":
        found[template[1]] = tree
    elif template[0] == "container":
        container = open_container(tree)
        if container is None or container.kind != template[1]:
            raise ArgumentTypeError(f"{operation}: the cotangent's tree is not the value's.")
        for child, part in zip(container.children, template[2], strict=True):
            match(child, part, found, operation)


def fit(value: Any, like: Array, operation: str) -> Array:
    array = convert(as_array(value), like.type.dtype)
    if array.type.shape != like.type.shape:
        raise ShapeError(
            f"{operation}: expected shape {like.type.shape}, received {array.type.shape}."
        )
    return array

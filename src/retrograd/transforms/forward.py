"""Forward mode: jvp."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import forward_mode
from ..errors import ArgumentError, ArgumentTypeError, hide_internal_frames
from ..staging import build_result
from ..trace import Array
from ..tree import flatten
from .arguments import Differentiated, Function, check_function, fit, match, stage
from .graphs import apply_graph


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
    check_function(function, "jvp")
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise ArgumentTypeError("jvp takes its primals and tangents as tuples.")
    if len(primals) != len(tangents):
        raise ArgumentError(f"jvp: {len(primals)} primals, but {len(tangents)} tangents.")
    moving = [position for position, tangent in enumerate(tangents) if tangent is not None]
    try:
        gradients, staged = stage(function, primals, {}, moving, "jvp")
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
        hide_internal_frames(error)
        raise


def _tangent_leaves(gradients: Differentiated, tangents: Sequence[Any]) -> list[Array]:
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
            match(tangent, template, found, "jvp")
    return [
        fit(found[index], gradients.call.leaves[index].as_array(), "jvp")
        for index in gradients.wanted
    ]

"""Parameters and gradients by the paths of the parameters, as Transforms see them."""

from __future__ import annotations

from typing import Any

from .. import tree
from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..ir import ArrayType
from ..ops.promotion import as_array, convert
from ..ops.row_gradient import RowGradient, check_rows
from ..trace import Array
from .rows import is_row_gradient

Tree = Any


def name_parameters(parameters: Any) -> tuple[list[Array], dict[str, Array]]:
    """The leaves, and each different one under its first path (tied ones count once)."""
    source = parameters.parameters() if hasattr(parameters, "parameters") else parameters
    leaves = tree.leaves(source)
    named: dict[str, Array] = {}
    seen: set[int] = set()
    for path, leaf in zip(tree.paths(source), leaves, strict=True):
        if not isinstance(leaf, Array):
            raise ArgumentTypeError(
                f"An Optimizer updates Arrays; {path!r} is {type(leaf).__name__}.",
                fix="pass the Module, or a tree of rg.array(...)",
            )
        if not leaf.type.floating:
            raise DTypeError(
                f"An Optimizer updates floating Arrays; {path!r} is {leaf.type}.",
                fix="write 1.0 in the place of 1, or convert with .astype('float32')",
            )
        if id(leaf) not in seen:
            seen.add(id(leaf))
            named[path] = leaf
    return leaves, named


def name_gradients(
    parameters: Any, gradients: Tree, leaves: list[Array], named: dict[str, Array]
) -> dict[str, Array | RowGradient]:
    source = parameters.parameters() if hasattr(parameters, "parameters") else parameters
    found, structure = tree.flatten(gradients, is_row_gradient)
    names = tree.paths(gradients, is_row_gradient)
    if tree.flatten(source)[1] != structure:
        raise ArgumentError(
            "The gradients do not have the tree of the parameters: parameters "
            f"{tree.paths(source)[:8]}, gradients {names[:8]}.",
            fix="pass the gradients that value_and_grad gave for the same model",
        )
    by_path = dict(zip(names, found, strict=True))
    given: dict[str, Array | RowGradient] = {}
    for path, parameter in named.items():
        gradient, wanted = by_path[path], parameter.type
        if is_row_gradient(gradient):
            if gradient.rows.type.shape[1:] != wanted.shape[1:] or not wanted.shape:
                raise ShapeError(
                    f"The gradient of {path!r} has rows of shape {gradient.rows.type.shape[1:]}, "
                    f"the parameter is {wanted}."
                )
            checked = check_rows(gradient, wanted.shape[0])
            given[path] = RowGradient(checked.indices, convert(checked.rows, wanted.dtype))
        else:
            given[path] = _fit(path, as_array(gradient), wanted)
    return given


def _fit(path: str, gradient: Array, wanted: ArrayType) -> Array:
    if gradient.type.shape != wanted.shape:
        raise ShapeError(
            f"The gradient of {path!r} has shape {gradient.type.shape}, the parameter "
            f"{wanted.shape}."
        )
    return convert(gradient, wanted.dtype)

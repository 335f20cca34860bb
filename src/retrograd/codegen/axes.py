"""The axes of a loop nest: which expressions move along them, and which one gets the lanes."""

from __future__ import annotations

from ..ir.loops import LoopNest


def choose_vector_axis(nest: LoopNest) -> int | None:
    """The axis along which most accesses are contiguous.

    Where axes are reduced, what lies outside of their loops counts little.
    """
    best, best_score = None, 0
    reduced = {axis for axis, flag in enumerate(nest.reduced) if flag}
    inside = [not reduced or bool(axes & reduced) for axes in dependences(nest)]
    forbidden = _scattered_axes(nest)
    for axis, extent in enumerate(nest.extents):
        if extent < 2 or axis in forbidden:
            continue
        score = 0
        for expression, moving in zip(nest.expressions, inside, strict=True):
            if expression.access is not None:
                score += _score(expression.access.strides[axis], 4 if moving else 1)
        for store in nest.stores:
            within = store.reduction is None or not reduced
            score += _score(store.access.strides[axis], 8 if within else 1)
        score = score * 16 + min(extent, 15)
        if score >= best_score:
            best, best_score = axis, score
    return best


def _score(stride: int, weight: int) -> int:
    return weight if stride == 1 else 1 if stride == 0 else -weight


def _scattered_axes(nest: LoopNest) -> set[int]:
    """Axes along which lanes could add to one address."""
    found: set[int] = set()
    axes = dependences(nest)
    for store in nest.stores:
        if store.index is not None:
            found |= axes[store.index]
            found |= {axis for axis, stride in enumerate(store.access.strides) if not stride}
    return found


def dependences(nest: LoopNest) -> list[set[int]]:
    """The axes that each expression depends on."""
    result: list[set[int]] = []
    for expression in nest.expressions:
        axes: set[int] = set()
        if expression.access is not None:
            axes.update(_axes(expression.access.strides))
            for guard in expression.access.guards:
                axes.update(_axes(guard.strides))
        if expression.kind == "inside":
            for guard in expression.value:
                axes.update(_axes(guard.strides))
        if expression.kind == "index":
            axes.add(expression.value)
        if expression.kind == "sum":
            axes.update(axis for axis, reduced in enumerate(nest.reduced) if not reduced)
        for position in expression.inputs:
            axes |= result[position]
        result.append(axes)
    return result


def _axes(strides: tuple[int, ...]) -> set[int]:
    return {axis for axis, stride in enumerate(strides) if stride}

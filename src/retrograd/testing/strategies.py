"""Strategies for hypothesis: shapes, shapes that broadcast, dtypes, arrays, and indices.

hypothesis is imported when a strategy is made: `pip install "retrograd[dev]"`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import MissingDependencyError
from ..ir import as_dtype
from ..ir.types import DTYPES, FLOATS

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["arrays", "broadcastable_shapes", "dtypes", "shapes", "slices"]


def _import_hypothesis() -> tuple[Any, Any]:
    try:
        from hypothesis import strategies
        from hypothesis.extra import numpy as extra
    except ImportError:
        raise MissingDependencyError("hypothesis", "dev", "retrograd.testing.strategies") from None
    return strategies, extra


def shapes(
    min_dims: int = 0, max_dims: int = 4, min_side: int = 0, max_side: int = 5
) -> SearchStrategy[tuple[int, ...]]:
    """Shapes, sizes 0 and 1 among them.

    Args:
        min_dims, max_dims: the number of axes.
        min_side, max_side: the size of each.

    Example:
        >>> from retrograd.testing import strategies
        >>> from hypothesis import given
        >>> @given(strategies.shapes(max_dims=2))
        ... def test(shape):
        ...     assert len(shape) <= 2
        >>> test()
    """
    _, extra = _import_hypothesis()
    return extra.array_shapes(
        min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side
    )


def broadcastable_shapes(
    count: int = 2, max_dims: int = 3, min_side: int = 0, max_side: int = 4
) -> SearchStrategy[tuple[tuple[int, ...], ...]]:
    """Several shapes that broadcast together, as a tuple.

    Args:
        count: how many.
        max_dims, min_side, max_side: as for `shapes`.

    Example:
        >>> import numpy as np
        >>> from retrograd.testing import strategies
        >>> from hypothesis import given
        >>> @given(strategies.broadcastable_shapes(2))
        ... def test(pair):
        ...     np.broadcast_shapes(*pair)
        >>> test()
    """
    _, extra = _import_hypothesis()
    found = extra.mutually_broadcastable_shapes(
        num_shapes=count, max_dims=max_dims, min_side=min_side, max_side=max_side
    )
    return found.map(lambda result: result.input_shapes)


def dtypes(*kinds: str) -> SearchStrategy[np.dtype[Any]]:
    """The dtypes of retrograd.

    Args:
        kinds: NumPy's letters ("f" floating, "i" signed, "u" unsigned, "b" bool); none means all.

    Example:
        >>> from retrograd.testing import strategies
        >>> from hypothesis import given
        >>> @given(strategies.dtypes("f"))
        ... def test(dtype):
        ...     assert dtype.name in ("float32", "float64")
        >>> test()
    """
    strategies, _ = _import_hypothesis()
    chosen = [dtype for dtype in DTYPES.values() if not kinds or dtype.kind in kinds]
    return strategies.sampled_from(chosen)


def arrays(
    dtype: Any = None,
    shape: Any = None,
    *,
    low: float = -10.0,
    high: float = 10.0,
    unique: bool = False,
) -> SearchStrategy[np.ndarray[Any, Any]]:
    """NumPy arrays of finite numbers.

    Args:
        dtype: a dtype, or a strategy for one; None for float32 and float64.
        shape: a shape, or a strategy for one; None for `shapes()`.
        low, high: the range of the numbers; unsigned ones begin at 0.
        unique: no number occurs twice.

    Example:
        >>> from retrograd.testing import strategies
        >>> from hypothesis import given
        >>> @given(strategies.arrays("float64", (2, 3)))
        ... def test(x):
        ...     assert x.shape == (2, 3)
        >>> test()
    """
    strategies, extra = _import_hypothesis()
    if dtype is None:
        dtype = strategies.sampled_from([DTYPES[name] for name in FLOATS])
    if not isinstance(dtype, strategies.SearchStrategy):
        dtype = strategies.just(as_dtype(dtype))
    sizes = shapes() if shape is None else shape

    def fill(chosen: np.dtype[Any]) -> Any:
        elements: dict[str, Any] | None = None
        if chosen.kind == "f":
            bounds = [float(np.asarray(bound, chosen)) for bound in (low, high)]
            elements = {
                "min_value": bounds[0],
                "max_value": bounds[1],
                "allow_nan": False,
                "allow_subnormal": False,
            }
        elif chosen.kind in "iu":
            start = max(int(low), 0) if chosen.kind == "u" else int(low)
            elements = {"min_value": start, "max_value": int(high)}
        return extra.arrays(chosen, sizes, elements=elements, unique=unique)

    return dtype.flatmap(fill)


def slices(shape: Sequence[int]) -> SearchStrategy[Any]:
    """Indices for an array of this shape: integers, slices of either step, None and Ellipsis.

    Example:
        >>> import numpy as np
        >>> from retrograd.testing import strategies
        >>> from hypothesis import given
        >>> @given(strategies.slices((2, 3)))
        ... def test(index):
        ...     np.zeros((2, 3))[index]
        >>> test()
    """
    _, extra = _import_hypothesis()
    return extra.basic_indices(
        tuple(shape), max_dims=len(tuple(shape)) + 2, allow_newaxis=True, allow_ellipsis=True
    )

"""Which class was taken for which."""

from __future__ import annotations

from typing import Any

from ..ir.types import int64
from ..ops.index import scatter_add_p
from ..ops.promotion import convert
from ..ops.shape import reshape
from ..trace import Array, bind
from .base import Sums
from .decisions import Decisions, decide


def confusion_matrix(outputs: Any, targets: Any, sample_weight: Any = None) -> Array:
    """How often each true class (row) was taken for each class (column).

    Args:
        outputs: logits (..., classes), or one logit for each decision in the targets' shape.
        targets: integer labels (...), or 0 and 1 in the outputs' shape.
        sample_weight: (batch,) numbers of at least 0, counted in the place of 1.

    Returns:
        (classes, classes) in float64; sums of batches add up.

    Raises:
        ShapeError, DTypeError, IndexRangeError: targets that do not fit the outputs.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import metrics
        >>> metrics.confusion_matrix(rg.array([-1.0, 2.0, 3.0]), [0, 0, 1]).numpy()
        array([[1., 1.],
               [0., 1.]])
    """
    rows = decide(outputs, targets, sample_weight, "confusion_matrix")
    true = convert(rows.true, int64)
    cells = true * rows.classes + convert(rows.chosen, int64)
    counts = bind(scatter_add_p, rows.weights, cells, axis=0, size=rows.classes**2)[0]
    return reshape(counts, (rows.classes, rows.classes))


def count_classes(rows: Decisions) -> Sums:
    """For each class what was right, what was chosen, what is true: float64 (classes,) each."""
    right = convert(rows.chosen == rows.true, rows.weights.type.dtype)

    def count(places: Array, weights: Array) -> Array:
        return bind(scatter_add_p, weights, places, axis=0, size=rows.classes)[0]

    return {
        "right": count(rows.true, rows.weights * right),
        "chosen": count(rows.chosen, rows.weights),
        "true": count(rows.true, rows.weights),
    }

"""Losses of classes, from logits: cross-entropy of one class of many, and of yes or no."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import IndexRangeError, ShapeError
from ..ops import comparison, composite, reduce, transcendental
from ..ops.promotion import as_array, convert
from ..ops.shape import broadcast_to
from ..ops.targets import (
    check_binary_targets,
    check_class_weight,
    check_fraction,
    check_labels,
    check_outputs,
    check_same_shape,
    known_value,
    pick_label,
)
from ..trace import Array
from .reduction import check_reduction, reduce_losses


def cross_entropy(
    logits: Any,
    labels: Any,
    *,
    class_weight: Any = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    sample_weight: Any = None,
) -> Array:
    """Cross-entropy of logits: `-log(softmax(logits)[label])`, or `-sum(p * log(softmax(logits)))`.

    With class weights w and smoothing s the loss of a row with probabilities p (all at the label,
    if labels are given) is `-sum_c w_c ((1 - s) p_c + s / classes) log(softmax(logits)_c)`, and
    its weight in the mean is `sum_c w_c p_c`.

    Args:
        logits: floating (..., classes): any numbers, before the softmax.
        labels: integers from 0 to classes - 1 of shape (...), or floating probabilities in [0, 1]
            of the logits' shape.
        class_weight: (classes,), numbers of at least 0.
        label_smoothing: in [0, 1): this share of each target is spread evenly over all classes.
        reduction: "mean", "sum", or "none" for a loss for each row.
        sample_weight: (batch,), or one weight for each element of the first axes of the labels
            (0 leaves it out). The mean divides by the sum of weights; it is 0 if that is 0.

    Returns:
        A scalar in the logits' dtype; of shape (...) for "none".

    Raises:
        ShapeError: labels or weights do not fit the logits, or the batch is empty.
        DTypeError: labels that are not integers, logits that are not floating.
        IndexRangeError: a label outside [0, classes); in a compiled program when it runs.
        ArgumentError: an unknown reduction, smoothing outside [0, 1), a negative weight.

    Source: I. Goodfellow, Y. Bengio, A. Courville, Deep Learning, MIT Press 2016, section 6.2.2;
    label smoothing: C. Szegedy et al., Rethinking the Inception architecture, CVPR 2016.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import losses
        >>> logits = rg.array([[2.0, 0.0], [0.0, 1000.0]])
        >>> losses.cross_entropy(logits, [0, 1], reduction="none").numpy().round(4)
        array([0.1269, 0.    ], dtype=float32)
    """
    check_reduction(reduction, "cross_entropy")
    smoothing = check_fraction("label_smoothing", label_smoothing, "cross_entropy")
    outputs = check_outputs(logits, "cross_entropy", "logits")
    classes = _check_classes(outputs)
    targets = as_array(labels)
    weights = None
    if class_weight is not None:
        weights = check_class_weight(class_weight, classes, outputs.type.dtype, "cross_entropy")
    as_labels = not (
        targets.type.floating
        and targets.type.ndim == outputs.type.ndim
        and targets.type.shape[-1] == classes
    )
    if as_labels:
        check_labels(targets, outputs, "cross_entropy")
    else:
        targets = _check_probabilities(targets, outputs)
    logarithms = composite.log_softmax(outputs, axis=-1)
    if weights is not None:
        weights = broadcast_to(weights, outputs.type.shape)
        logarithms = logarithms * weights
    row_weights = None
    if as_labels:
        losses = 0.0 - pick_label(logarithms, targets)  # not -x, so that a loss is never -0.0
        row_weights = None if weights is None else pick_label(weights, targets)
    else:
        losses = 0.0 - reduce.sum(targets * logarithms, -1)
        row_weights = None if weights is None else reduce.sum(targets * weights, -1)
    if smoothing:
        losses = losses * (1.0 - smoothing) - reduce.sum(logarithms, -1) * (smoothing / classes)
    return reduce_losses(losses, reduction, sample_weight, "cross_entropy", row_weights)


def _check_classes(logits: Array) -> int:
    """The number of classes, at least two."""
    shape = logits.type.shape
    if not shape:
        raise ShapeError(
            "cross_entropy: logits need an axis of classes, received a single number.",
            fix="use losses.binary_cross_entropy for one logit for each row",
        )
    if shape[-1] == 1:
        raise ShapeError(
            f"cross_entropy: the last axis of logits {shape} is the classes, and over a single "
            "class the loss is always 0.",
            fix="use losses.binary_cross_entropy, or give the model one output for each class",
        )
    return shape[-1]


def _check_probabilities(targets: Array, logits: Array) -> Array:
    """Probabilities of the logits' shape, each in [0, 1] where it is known."""
    shape = logits.type.shape
    check_same_shape(logits, targets, "cross_entropy", "logits")
    if len(shape) == 1:
        raise ShapeError(
            f"cross_entropy: logits {shape} and floating targets {shape} could be one row of "
            "probabilities or a logit for each row.",
            fix="write logits[None] and targets[None] for one row of probabilities; use "
            "losses.binary_cross_entropy for a logit for each row",
        )
    known = known_value(targets)
    if known is not None:
        wrong = ~((known >= 0) & (known <= 1))
        if wrong.any():
            place = tuple(int(p) for p in np.argwhere(wrong)[0])
            raise IndexRangeError(
                f"cross_entropy: targets of the logits' shape are probabilities; "
                f"{known[place].item()!r} at {place} is outside [0, 1].",
                fix="pass integer labels, or probabilities (for logits of a teacher: "
                "rg.softmax(teacher_logits))",
            )
    return convert(targets, logits.type.dtype)


def _softplus(x: Array) -> Array:
    """`log(1 + exp(x))` without overflow.

    Both branches are the same function, so that derivatives of every order are right at 0, too.
    """
    positive = comparison.greater(x, 0.0)
    decayed = transcendental.exp(comparison.where(positive, -x, x))
    return comparison.where(positive, x, 0.0) + transcendental.log1p(decayed)


def _from_logits(x: Array, truth: Array) -> Array:
    """`truth softplus(-x) + (1 - truth) softplus(x)` with one exp and one log.

    The linear part is `x (1 - truth)` or `-x truth`: exactly 0 where the answer is right, so that
    a small loss is not lost beside a large logit.
    """
    positive = comparison.greater(x, 0.0)
    decayed = transcendental.exp(comparison.where(positive, -x, x))
    linear = x * (convert(positive, x.type.dtype) - truth)
    return linear + transcendental.log1p(decayed)


def binary_cross_entropy(
    logits: Any,
    targets: Any,
    *,
    class_weight: Any = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    sample_weight: Any = None,
) -> Array:
    """Cross-entropy of yes or no, from logits: `-t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x))`.

    Each element is a decision of its own: logits of shape (batch,) or (batch, 1) for one, of shape
    (batch, labels) for several that do not exclude each other.

    Args:
        logits: floating, of any shape: any numbers, before the sigmoid.
        targets: 0, 1 or probabilities between them, of the same shape; nothing is broadcast.
        class_weight: (2,): factors of the parts for target 0 and for target 1; in the mean an
            element weighs `w_0 (1 - t) + w_1 t`.
        label_smoothing: s in [0, 1): targets become `t (1 - s) + s / 2`.
        reduction: "mean" (over all elements), "sum", or "none" for a loss for each element.
        sample_weight: (batch,), or one weight for each element of the first axes. The mean divides
            by the sum of the weights of all elements; it is 0 if that is 0.

    Returns:
        A scalar in the logits' dtype; of their shape for "none".

    Raises:
        ShapeError: the shapes are not equal, or the batch is empty.
        DTypeError: the logits are not floating.
        IndexRangeError: a target outside [0, 1]; integer ones also in a compiled program.
        ArgumentError: an unknown reduction, smoothing outside [0, 1), a negative weight.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import losses
        >>> float(losses.binary_cross_entropy(rg.array([1000.0, -1000.0]), [1, 0]))
        0.0
    """
    name = "binary_cross_entropy"
    check_reduction(reduction, name)
    smoothing = check_fraction("label_smoothing", label_smoothing, name)
    outputs = check_outputs(logits, name, "logits")
    truth = check_binary_targets(targets, outputs, name, "logits")
    if class_weight is None and not smoothing:
        return reduce_losses(_from_logits(outputs, truth), reduction, sample_weight, name)
    smoothed = truth * (1.0 - smoothing) + 0.5 * smoothing if smoothing else truth
    yes, no = smoothed * _softplus(-outputs), (1.0 - smoothed) * _softplus(outputs)
    if class_weight is None:
        return reduce_losses(yes + no, reduction, sample_weight, name)
    weights = check_class_weight(class_weight, 2, outputs.type.dtype, name)
    weight_no, weight_yes = (broadcast_to(weights[index], outputs.type.shape) for index in (0, 1))
    return reduce_losses(
        yes * weight_yes + no * weight_no,
        reduction,
        sample_weight,
        name,
        truth * weight_yes + (1.0 - truth) * weight_no,
    )

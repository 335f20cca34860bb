"""What losses and metrics ask of targets, labels and weights, and how they say so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    DTypeError,
    IndexRangeError,
    ShapeError,
    suggest,
)
from ..ir.types import Shape
from ..trace import Array, NumpyArray, Tracer, bind, is_compiling
from .index import check_indices, gather_along_p
from .promotion import as_array, convert
from .shape import broadcast_to, expand_dims, reshape

INTEGERS = "iu"


def known_value(array: Array) -> NumpyArray | None:
    """The value, or None in a program whose values are not known yet."""
    if isinstance(array, Tracer) and is_compiling():
        return None
    return array.concrete()


def check_choice(name: str, value: Any, known: Sequence[str], operation: str) -> str:
    """The value, if it is one of the known words."""
    if value not in known:
        raise ArgumentError(
            f"{operation}: {name} must be one of {', '.join(map(repr, known))}, received "
            f"{value!r}. {suggest(str(value), known)}"
        )
    return str(value)


def check_fraction(name: str, value: Any, operation: str) -> float:
    """A Python number in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number, Array)):
        raise ArgumentTypeError(f"{operation}: {name} is a number in [0, 1), received {value!r}.")
    number = float(value)
    if not 0.0 <= number < 1.0:
        raise ArgumentError(f"{operation}: {name} lies in [0, 1), received {value!r}.")
    return number


def check_outputs(value: Any, operation: str, word: str) -> Array:
    """The outputs of a model as a floating Array with at least one element."""
    outputs = as_array(value)
    if not outputs.type.floating:
        raise DTypeError(
            f"{operation}: the {word} come first and must be floating, received "
            f"{outputs.type.dtype.name} of shape {outputs.type.shape}.",
            fix=f"write {operation}({word}, targets) in this order, or convert the {word} with "
            ".astype('float32')",
        )
    check_not_empty(outputs, operation, word)
    return outputs


def check_not_empty(array: Array, operation: str, word: str) -> None:
    """An error if there is nothing to measure."""
    if array.type.size == 0:
        raise ShapeError(
            f"{operation}: the batch is empty: the {word} have shape {array.type.shape}.",
            fix="leave out batches without rows",
        )


def check_same_shape(outputs: Array, targets: Array, operation: str, word: str) -> None:
    """An error, with the exact change to make, if the shapes are not equal."""
    ours, theirs = outputs.type.shape, targets.type.shape
    if ours == theirs:
        return
    if ours == (*theirs, 1):
        fix = f"write {word}[..., 0] or targets[..., None]"
        if len(theirs) == 1:
            fix = f"write {word}[:, 0] or targets[:, None]"
    elif theirs == (*ours, 1):
        fix = f"write targets[..., 0] or {word}[..., None]"
        if len(ours) == 1:
            fix = f"write targets[:, 0] or {word}[:, None]"
    elif math.prod(ours) == math.prod(theirs):
        fix = f"write targets.reshape({ours}) if the elements are in the same order"
    else:
        fix = "check the size of the model's last layer, and that both come from the same batch"
    raise ShapeError(
        f"{operation}: {word} {ours} and targets {theirs} must have one shape; nothing is "
        "broadcast here, because a (n, 1) against a (n,) would compare every row with every "
        "other.",
        fix=fix,
    )


def check_labels(labels: Array, logits: Array, operation: str) -> None:
    """Integer labels of the logits' shape without its last axis, in range where it is known."""
    shape, classes = logits.type.shape[:-1], logits.type.shape[-1]
    given = labels.type
    if given.dtype.kind not in INTEGERS:
        raise DTypeError(
            f"{operation}: labels must be integers from 0 to {classes - 1} of shape {shape}, "
            f"received {given.dtype.name} of shape {given.shape} for logits {logits.type.shape}.",
            fix="convert them with labels.astype('int32'); for a regression use losses.mse",
        )
    if given.shape != shape:
        if given.shape == (*shape, 1):
            fix = "write labels[:, 0]" if len(shape) == 1 else "write labels[..., 0]"
        elif given.shape == logits.type.shape:
            fix = "write labels.argmax(-1) if the rows are one-hot"
        elif math.prod(given.shape) == math.prod(shape):
            fix = f"write labels.reshape({shape}) if the elements are in the same order"
        else:
            fix = "give one label for each row of logits; the classes are the last axis"
        raise ShapeError(
            f"{operation}: logits {logits.type.shape} need labels of shape {shape}, received "
            f"{given.shape}.",
            fix=fix,
        )
    check_label_range(labels, classes, operation)


def check_label_range(labels: Array, classes: int, operation: str) -> None:
    """An error that names the first label outside [0, classes), where labels are known."""
    known = known_value(labels)
    if known is None or (known.min() >= 0 and known.max() < classes):
        return
    wrong = (known < 0) | (known >= classes)
    place = tuple(int(p) for p in np.argwhere(wrong)[0])
    where = f" (at {place[0] if len(place) == 1 else place})" if place else ""
    smallest, largest = int(known.min()), int(known.max())
    if smallest >= 1 and largest == classes:
        fix = "the labels seem to count from 1: write labels - 1"
    elif smallest < 0:
        fix = "to leave rows out, give them a sample_weight of 0 and any valid label"
    else:
        fix = f"give the model {largest + 1} outputs, or map the labels to 0 ... {classes - 1}"
    raise IndexRangeError(
        f"{operation}: label {int(known[place])}{where} is out of range for {classes} classes "
        f"(valid are 0 to {classes - 1}); {int(wrong.sum())} of {known.size} labels are.",
        fix=fix,
    )


def pick_label(values: Array, labels: Array) -> Array:
    """For each row the value at its label; a label out of range is an error when this runs."""
    # Bound directly: a negative label must not count from the end.
    places = expand_dims(labels, -1)
    picked = bind(gather_along_p, values, places, axis=values.type.ndim - 1)[0]
    return reshape(picked, labels.type.shape)


def check_binary_targets(value: Any, outputs: Array, operation: str, word: str) -> Array:
    """Targets in [0, 1] of the outputs' shape and dtype (0 and 1 if they are integers)."""
    targets = as_array(value)
    check_same_shape(outputs, targets, operation, word)
    known = known_value(targets)
    if known is not None and known.dtype.kind != "b":
        wrong = ~((known >= 0) & (known <= 1))
        if wrong.any():
            place = tuple(int(p) for p in np.argwhere(wrong)[0])
            raise IndexRangeError(
                f"{operation}: target {known[place].item()!r}"
                f"{f' (at {place[0] if len(place) == 1 else place})' if place else ''} is outside "
                "[0, 1].",
                fix="write (targets + 1) / 2 for targets -1 and 1; for more than two classes use "
                "losses.cross_entropy",
            )
    if targets.type.dtype.kind in INTEGERS and known is None:
        targets = check_indices(targets, 2, operation)
    return convert(targets, outputs.type.dtype)


def spread_weights(value: Any, like: Array, operation: str, dtype: Any = None) -> Array:
    """`sample_weight` spread over an array whose first axes it has.

    Args:
        value: (batch,), or one weight for each element of the first axes of `like`.
        like: gives the shape, and the dtype unless `dtype` is given.
    """
    weights, shape = as_array(value), like.type.shape
    given = weights.type.shape
    if weights.type.ndim == 0 or shape[: len(given)] != given:
        raise ShapeError(
            f"{operation}: sample_weight has shape {given}, expected one weight for each row: "
            f"{shape[:1]}" + (f" (or for each element of {shape})." if len(shape) > 1 else "."),
            fix="write sample_weight[:, 0]"
            if given == (*shape[:1], 1) and len(shape) == 1
            else "give one number for each row of the batch",
        )
    check_weight_values(weights, "sample_weight", operation)
    weights = convert(weights, like.type.dtype if dtype is None else dtype)
    padded = reshape(weights, given + (1,) * (len(shape) - len(given)))
    return broadcast_to(padded, shape)


def check_weight_values(weights: Array, name: str, operation: str) -> None:
    """An error if a known weight is negative, infinite or NaN."""
    known = known_value(weights)
    if known is None or (np.isfinite(known).all() and (known >= 0).all()):
        return
    place = tuple(int(p) for p in np.argwhere(~(np.isfinite(known) & (known >= 0)))[0])
    raise ArgumentError(
        f"{operation}: {name} holds {known[place].item()!r} at {place}; weights are finite numbers "
        "of at least 0.",
        fix="use 0 to leave something out",
    )


def check_class_weight(value: Any, classes: int, dtype: Any, operation: str) -> Array:
    """`class_weight` as an Array with one number for each class."""
    if isinstance(value, dict):
        raise ArgumentTypeError(
            f"{operation}: class_weight is an array with one number for each class, received a "
            "dict.",
            fix="write [weights[c] for c in range(classes)]",
        )
    weights = as_array(value)
    expected: Shape = (classes,)
    if weights.type.shape != expected:
        raise ShapeError(
            f"{operation}: class_weight has shape {weights.type.shape}, expected {expected}: one "
            "number for each class.",
            fix="give one weight for each class, in the order of the labels",
        )
    check_weight_values(weights, "class_weight", operation)
    return convert(weights, dtype)

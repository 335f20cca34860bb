"""Checks of what is given to fit, evaluate and predict; each error says what to do."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .. import tree
from ..errors import ArgumentError, ArgumentTypeError, DataError, DTypeError, ShapeError
from ..ir.types import DTYPES
from ..trace import Array
from .samples import NumpyArray

CHUNK = 4096
_NUMBERS = (int, float, np.number, np.bool_)
WIDENED = {"int8": "int32", "int16": "int32", "uint16": "int32", "uint64": "int64"}


def check_count(value: Any, name: str, minimum: int = 1) -> int:
    """A whole number of at least `minimum`, or an error that names the argument."""
    try:
        number = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise ArgumentTypeError(
            f"{name} is a whole number, received {value!r}.", fix=f"pass for example {name}=32"
        )
    if number < minimum:
        raise ArgumentError(f"{name} is at least {minimum}, received {number}.")
    return number


def as_data(data: Any, name: str, dtype: np.dtype[Any]) -> Any:
    """Data as a tree of NumPy arrays in supported dtypes.

    Args:
        data: an array, nested lists of numbers, or a dict, tuple or dataclass of them.
        name: "x" or "y", for messages.
        dtype: that of the parameters, to which floating numbers are cast.

    Raises:
        DataError: strings, objects, ragged lists.
    """
    if isinstance(data, Array):
        return _convert(data.concrete(), name, dtype)
    if data is None:
        raise ArgumentTypeError(f"{name} is missing (None).", fix=f"pass an array as {name}")
    container = None if isinstance(data, list) else tree.open_container(data)
    if container is None:
        return _convert(_as_numpy(data, name), name, dtype)
    children = [
        as_data(child, f"{name}[{part!r}]", dtype)
        for part, child in zip(container.names, container.children, strict=True)
    ]
    return tree.rebuild_container(container.kind, children)


def _as_numpy(data: Any, name: str) -> NumpyArray:
    try:
        return np.asarray(data)
    except ValueError as error:
        raise DataError(
            f"{name} is not a regular array: its rows have different lengths ({error}).",
            fix="pad or cut the rows to one length; several arrays are passed as a tuple or dict",
        ) from error


def _convert(array: NumpyArray, name: str, dtype: np.dtype[Any]) -> NumpyArray:
    kind = array.dtype.kind
    if kind == "f":
        with np.errstate(over="ignore"):  # what overflows is infinite, and is told as such
            return np.ascontiguousarray(array, dtype) if array.ndim else array.astype(dtype)
    if kind in "iub":
        target = WIDENED.get(array.dtype.name)
        if array.dtype == np.uint64 and array.size and int(array.max()) > np.iinfo(np.int64).max:
            raise DataError(f"{name} holds uint64 numbers beyond int64.")
        return array if target is None else array.astype(target)
    if kind in "OUS":
        others = [item for item in array.flat if not isinstance(item, _NUMBERS)][:1]
        if kind == "O" and not others:  # numbers after all, as pandas gives them for mixed columns
            numbers = np.array(array.tolist()).reshape(array.shape)
            if numbers.dtype.kind != "O":
                return _convert(numbers, name, dtype)
        found = others[0] if others else array.flat[0]
        fix = (
            "number the classes: classes, y = np.unique(y, return_inverse=True)"
            if name.startswith("y")
            else "turn text into numbers first (retrograd train does it for tables)"
        )
        raise DataError(
            f"{name} holds {array.dtype} values such as {found!r}; training takes numbers.",
            fix=fix,
        )
    raise DTypeError(
        f"{name} has dtype {array.dtype}; training takes {', '.join(DTYPES)}.",
        fix=f"convert it: {name}.astype('float32')",
    )


def count_samples(x: Any, name: str = "x") -> int:
    """The length of the leading axis, which all arrays of the tree share."""
    leaves = tree.leaves(x)
    if not leaves:
        raise DataError(f"{name} holds no arrays.", fix=f"pass an array as {name}")
    paths = [f"{name}.{path}" if path else name for path in tree.paths(x)]
    for path, leaf in zip(paths, leaves, strict=True):
        if leaf.ndim == 0:
            raise ShapeError(
                f"{path} is a single number; its first axis must be the samples.",
                fix="pass an array of shape (samples, ...)",
            )
    counts = [leaf.shape[0] for leaf in leaves]
    if len(set(counts)) > 1:
        listed = ", ".join(f"{path}: {n}" for path, n in zip(paths, counts, strict=True))
        raise DataError(
            f"The arrays of {name} have different numbers of samples: {listed}.",
            fix="give all arrays the same first axis",
        )
    if counts[0] == 0:
        raise DataError(
            f"{name} is empty: it has shape {leaves[0].shape}, 0 samples.",
            fix="check how the data was read or filtered",
        )
    return int(counts[0])


def check_lengths(x: Any, y: Any, x_name: str = "x", y_name: str = "y") -> int:
    """The number of samples, the same in x and y."""
    count, targets = count_samples(x, x_name), count_samples(y, y_name)
    if count != targets:
        raise DataError(
            f"{x_name} has {count} samples, {y_name} has {targets}.",
            fix=f"{x_name} and {y_name} need one row for each sample, in the same order",
        )
    return count


def check_finite(data: Any, name: str, what: str) -> None:
    """An error that names the first NaN or infinite number.

    Args:
        data: a tree of arrays.
        name: "x" or "y".
        what: "feature" or "target", for the message.
    """
    for path, leaf in zip(tree.paths(data), tree.leaves(data), strict=True):
        if leaf.dtype.kind != "f":
            continue
        # In chunks: a mask of the whole data would need a quarter of its memory.
        for start in range(0, leaf.shape[0], CHUNK):
            part = np.isfinite(leaf[start : start + CHUNK])
            if part.all():
                continue
            index = tuple(int(i) for i in np.argwhere(~part)[0])
            value = leaf[start : start + CHUNK][index]
            place = f"{name}.{path}" if path else name
            at = ", ".join(str(i) for i in index[1:])
            where = f", {what} {at}" if at else ""
            rows = sum(
                int(
                    (~np.isfinite(leaf[s : s + CHUNK]).reshape(len(leaf[s : s + CHUNK]), -1))
                    .any(axis=1)
                    .sum()
                )
                for s in range(0, leaf.shape[0], CHUNK)
            )
            raise DataError(
                f"{place} has the value {value} at sample {start + index[0]}{where} "
                f"({rows} of {leaf.shape[0]} samples have NaN or infinite values).",
                fix="remove these samples, or fill the gaps (with the mean of the feature, say)",
            )


def check_weights(weight: Any, count: int, dtype: np.dtype[Any], targets: Any) -> NumpyArray | None:
    """Sample weights of shape (count,), or of the first axes of the targets."""
    if weight is None:
        return None
    array = as_data(weight, "sample_weight", dtype)
    if not isinstance(array, np.ndarray):
        raise ArgumentTypeError("sample_weight is one array of shape (samples,).")
    leaves = tree.leaves(targets)
    shape = leaves[0].shape if leaves else (count,)
    if array.ndim == 0 or array.shape[0] != count:
        raise ArgumentError(
            f"sample_weight has shape {array.shape}; expected ({count},), one for each sample."
        )
    if array.ndim > 1 and array.shape != shape[: array.ndim]:
        raise ArgumentError(
            f"sample_weight has shape {array.shape}; expected ({count},) or the first axes of "
            f"the targets {shape}."
        )
    array = array.astype(dtype)
    if not np.isfinite(array).all() or (array < 0).any():
        bad = int(np.flatnonzero(~(np.isfinite(array) & (array >= 0)).reshape(-1))[0])
        raise ArgumentError(
            f"sample_weight holds {array.reshape(-1)[bad]} (number {bad}); weights are finite "
            "and at least 0.",
            fix="leave a sample out with weight 0",
        )
    if not array.any():
        raise ArgumentError("All sample weights are 0: nothing would be learned.")
    return array


def check_class_weight(class_weight: Any, y: Any, classes: int | None) -> NumpyArray | None:
    """Class weights as float64 of shape (classes,), from a list, a dict or "balanced".

    Args:
        class_weight: one number for each class, a dict of those that are not 1, or "balanced"
            (`samples / (classes * samples of the class)`).
        y: the targets.
        classes: the number of outputs of the model, or None if it does not say.
    """
    if class_weight is None:
        return None
    labels = isinstance(y, np.ndarray) and y.dtype.kind in "iub"
    if classes is None:
        classes = int(y.max()) + 1 if labels else None
    if isinstance(class_weight, (str, dict)):
        if not labels or classes is None:
            raise ArgumentError(
                "class_weight as a dict or 'balanced' needs integer labels as y.",
                fix="pass one number for each class",
            )
        if isinstance(class_weight, str):
            if class_weight != "balanced":
                raise ArgumentError(
                    f"class_weight is one number for each class, a dict, or 'balanced'; "
                    f"received {class_weight!r}."
                )
            counts = np.bincount(y.reshape(-1).astype(np.int64), minlength=classes)
            return np.where(counts > 0, y.size / (classes * np.maximum(counts, 1)), 1.0)
        weights = np.ones(classes)
        for label, value in class_weight.items():
            if not 0 <= operator.index(label) < classes:
                raise ArgumentError(f"class_weight names class {label}; there are {classes}.")
            weights[operator.index(label)] = value
    else:
        weights = np.asarray(class_weight, np.float64)
    if weights.ndim != 1 or (classes is not None and len(weights) != classes):
        expected = "one number for each class" if classes is None else f"({classes},)"
        raise ArgumentError(
            f"class_weight has shape {weights.shape}; expected {expected}.",
            fix="pass one number for each output of the model",
        )
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ArgumentError(
            f"class_weight holds numbers of at least 0, not all 0; received {weights.tolist()}."
        )
    return weights


def check_same_form(x: Any, other: Any, name: str, other_name: str) -> None:
    """Validation data must look like the training data, but for the number of samples."""
    if tree.flatten(x)[1] != tree.flatten(other)[1]:
        raise DataError(
            f"{other_name} has the arrays {tree.paths(other)}, {name} has {tree.paths(x)}.",
            fix=f"give {other_name} the form of {name}",
        )
    for path, one, two in zip(tree.paths(x), tree.leaves(x), tree.leaves(other), strict=True):
        if one.shape[1:] != two.shape[1:]:
            place = f" at {path!r}" if path else ""
            raise ShapeError(
                f"A sample of {other_name} has shape {two.shape[1:]}{place}, one of {name} "
                f"{one.shape[1:]}.",
                fix="prepare both in the same way",
            )

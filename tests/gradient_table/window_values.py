"""Values of convolution and of windows, by loops over every element, as their formulas say."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tests.gradient_table.table import NumpyArray, primitive
from tests.gradient_table.values import Value, numbers
from tests.gradient_table.window_rows import CONVOLUTIONS, WINDOWS, complete_options

Place = tuple[int, ...]


def conv_by_hand(x: NumpyArray, w: NumpyArray, **options: Any) -> NumpyArray:
    """`y[p] = sum over k of w[k] x[(p * stride + k * dilation - low) / input_dilation]`."""
    stride, padding = options["stride"], options["padding"]
    dilation, holes = options["input_dilation"], options["kernel_dilation"]
    groups, batches = options["feature_groups"], options["batch_groups"]
    rank, taken, out = x.ndim - 2, w.shape[-2], w.shape[-1]
    space = []
    for axis in range(rank):
        whole = (x.shape[1 + axis] - 1) * dilation[axis] + 1 + sum(padding[axis])
        space.append((whole - (w.shape[axis] - 1) * holes[axis] - 1) // stride[axis] + 1)
    result = np.zeros((x.shape[0] // batches, *space, out), np.float64)
    for place in np.ndindex(*result.shape):
        image, feature = place[0], place[-1]
        group = feature // (out // max(groups, batches))
        image += (group if batches > 1 else 0) * (x.shape[0] // batches)
        first = (group if groups > 1 else 0) * taken
        for k in np.ndindex(*w.shape[:-2]):
            source = []
            for axis in range(rank):
                at = place[1 + axis] * stride[axis] + k[axis] * holes[axis] - padding[axis][0]
                at, rest = divmod(at, dilation[axis])
                if rest or not 0 <= at < x.shape[1 + axis]:
                    break
                source.append(at)
            else:
                values = x[(image, *source, slice(first, first + taken))].astype(np.float64)
                result[place] += float(values @ w[(*k, slice(None), feature)].astype(np.float64))
    return result.astype(x.dtype)


def windows_of(shape: Place, options: dict[str, Any]) -> Iterator[tuple[Place, list[Any]]]:
    """Each output place with the places of its window, None where they lie in the padding."""
    size, stride, padding = options["size"], options["stride"], options["padding"]
    dilation = options["dilation"]
    counts = [
        (n + sum(sides) - (k - 1) * d - 1) // step + 1
        for n, k, step, sides, d in zip(shape[1:-1], size, stride, padding, dilation)
    ]
    for place in itertools.product(range(shape[0]), *map(range, counts), range(shape[-1])):
        window: list[Any] = []
        for k in np.ndindex(*size):
            at = tuple(
                p * step + i * d - sides[0]
                for p, i, step, d, sides in zip(place[1:-1], k, stride, dilation, padding)
            )
            inside = all(0 <= a < n for a, n in zip(at, shape[1:-1]))
            window.append((place[0], *at, place[-1]) if inside else None)
        yield place, window


def _output_shape(shape: Place, options: dict[str, Any]) -> Place:
    probe = (1, *shape[1:-1], 1)
    last = [place for place, _ in windows_of(probe, options)][-1]
    return (shape[0], *(n + 1 for n in last[1:-1]), shape[-1])


def sum_by_hand(x: NumpyArray, **options: Any) -> NumpyArray:
    result = np.zeros(_output_shape(x.shape, options), x.dtype)
    for place, window in windows_of(x.shape, options):
        for source in window:
            if source is not None:
                result[place] += x[source]
    return result


def max_by_hand(x: NumpyArray, **options: Any) -> tuple[NumpyArray, NumpyArray]:
    result = np.zeros(_output_shape(x.shape, options), x.dtype)
    winner = np.zeros(result.shape, np.int32)
    for place, window in windows_of(x.shape, options):
        inside = [(number, x[source]) for number, source in enumerate(window) if source is not None]
        number, value = max(inside, key=lambda pair: pair[1])  # Python's max: the first one
        result[place], winner[place] = value, number
    return result, winner


def gather_by_hand(x: NumpyArray, winner: NumpyArray, **options: Any) -> NumpyArray:
    result = np.zeros(winner.shape, x.dtype)
    for place, window in windows_of(x.shape, options):
        result[place] = x[window[winner[place]]]
    return result


def scatter_by_hand(
    g: NumpyArray, winner: NumpyArray, *, space: Place, **options: Any
) -> NumpyArray:
    result = np.zeros((g.shape[0], *space, g.shape[-1]), g.dtype)
    for place, window in windows_of(result.shape, options):
        result[window[winner[place]]] += g[place]
    return result


def _values() -> Iterable[Value]:
    for row in CONVOLUTIONS:
        options = getattr(row.function, "parameters", None)
        if options is None:
            continue
        for dtype in ("float32", "float64", "int32"):
            inputs = tuple(numbers(dtype, shape) for shape in row.shapes)
            yield Value(
                "conv",
                row.function,
                lambda x, w, o=options: conv_by_hand(x, w, **o),
                inputs,
                64.0,
                row.note,
            )
    for (note, shape, given), dtype in itertools.product(WINDOWS, ("float32", "float64", "int32")):
        options = complete_options(given)
        x = numbers(dtype, shape)
        _, winner = max_by_hand(x, **options)
        g = numbers(dtype, winner.shape)
        yield Value(
            "window_sum",
            primitive("window_sum", **options),
            lambda x, o=options: sum_by_hand(x, **o),
            (x,),
            16.0,
            note,
        )
        yield Value(
            "window_max",
            primitive("window_max", **options),
            lambda x, o=options: max_by_hand(x, **o),
            (x,),
            note=note,
        )
        yield Value(
            "window_gather",
            primitive("window_gather", **options),
            lambda x, i, o=options: gather_by_hand(x, i, **o),
            (x, winner),
            note=note,
        )
        yield Value(
            "window_scatter",
            primitive("window_scatter", space=shape[1:-1], **options),
            lambda g, i, o=options, s=shape[1:-1]: scatter_by_hand(g, i, space=s, **o),
            (g, winner),
            16.0,
            note,
        )


VALUES: list[Value] = list(_values())

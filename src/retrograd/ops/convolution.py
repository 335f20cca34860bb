"""conv, the one primitive behind every convolution, and its transpose.

`conv(x, w)` takes x (batch, *space, in) and w (*kernel, in / feature_groups, out) and gives
(batch, *space', out). Along each axis of space,

    y[p] = sum over k of w[k] * x[(p * stride + k * kernel_dilation - low) / input_dilation],

where only whole positions inside x count; the kernel is not flipped. `feature_groups` cuts the
channels of x and of y into groups that do not mix. `batch_groups` cuts the batch instead: group
number i of the batch makes group number i of the output channels, side by side.

The family is closed under differentiation. By its input a conv is a conv with the kernel flipped,
in and out exchanged, and stride and input dilation exchanged. By its kernel it is a conv with
batch and features exchanged, stride and kernel dilation exchanged, and the two kinds of groups
exchanged. V. Dumoulin, F. Visin, A guide to convolution arithmetic for deep learning (2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import DTypeError, ShapeError
from ..ir import ArrayType, declare
from ..trace import Array, bind
from .arithmetic import accumulate
from .convolution_batching import batch_conv
from .convolution_numpy import evaluate_conv
from .shape import Sizes, flip_p, reshape, transpose
from .sliding import Pairs, check_geometry, count_outputs

# -- the type rule --------------------------------------------------------------------------------


def _infer_conv(
    x: ArrayType,
    w: ArrayType,
    *,
    stride: Sizes,
    padding: Pairs,
    input_dilation: Sizes,
    kernel_dilation: Sizes,
    feature_groups: int,
    batch_groups: int,
) -> tuple[ArrayType]:
    rank = w.ndim - 2
    if x.dtype != w.dtype or x.dtype.kind not in "fiu":
        raise DTypeError(
            f"conv takes numbers of one dtype, received {x.dtype.name} and {w.dtype.name}.",
            fix="convert with .astype('float32')",
        )
    if rank < 1 or x.ndim != w.ndim:
        raise ShapeError(
            f"conv takes x (batch, *space, in) and w (*kernel, in / groups, out) with as many "
            f"axes, received {x.shape} and {w.shape}.",
            fix="add an axis of size 1 for a missing batch or channel: x[None], x[..., None]",
        )
    steps = {"stride": stride, "input dilation": input_dilation, "dilation": kernel_dilation}
    check_geometry("conv", rank, steps, padding)
    _check_channels(x, w, feature_groups, batch_groups)
    space = []
    for axis in range(rank):
        size, kernel, sides = x.shape[1 + axis], w.shape[axis], padding[axis]
        if size == 0 or kernel == 0:
            raise ShapeError(f"conv: axis {axis} of space is empty in {x.shape} or {w.shape}.")
        dilated = (size - 1) * input_dilation[axis] + 1
        count = count_outputs(dilated, kernel, stride[axis], sides, kernel_dilation[axis])
        if count < 1:
            span = (kernel - 1) * kernel_dilation[axis] + 1
            raise ShapeError(
                f"conv: the kernel {w.shape} covers {span} places along axis {axis} of space, "
                f"the padded input only {max(dilated + sum(sides), 0)} (x is {x.shape}, padding "
                f"{sides}).",
                fix="add padding, or use a smaller kernel or dilation, or larger images",
            )
        space.append(count)
    return (x.with_shape((x.shape[0] // batch_groups, *space, w.shape[-1])),)


def _check_channels(x: ArrayType, w: ArrayType, feature_groups: int, batch_groups: int) -> None:
    channels, taken, out = x.shape[-1], w.shape[-2], w.shape[-1]
    groups = max(feature_groups, batch_groups)
    if min(feature_groups, batch_groups) != 1:
        raise ShapeError(
            f"conv: groups must be at least 1, and batch groups and feature groups exclude each "
            f"other; received {feature_groups} and {batch_groups}."
        )
    if channels % feature_groups:
        raise ShapeError(
            f"conv: {feature_groups} groups do not divide the {channels} channels of x {x.shape}.",
            fix="choose groups that divide both the input and the output channels",
        )
    if channels != taken * feature_groups:
        grouped = f" in each of {feature_groups} groups" if feature_groups > 1 else ""
        raise ShapeError(
            f"conv: x {x.shape} has {channels} channels (its last axis), the kernel {w.shape} "
            f"takes {taken}{grouped} (its last axis but one).",
            fix="channels come last: x (batch, *space, in), w (*kernel, in / groups, out)",
        )
    if out % groups:
        raise ShapeError(
            f"conv: {groups} groups do not divide the {out} output channels of w {w.shape}.",
            fix="choose groups that divide both the input and the output channels",
        )
    if x.shape[0] % batch_groups:
        raise ShapeError(f"conv: {batch_groups} groups do not divide the batch of {x.shape}.")


# -- derivatives ----------------------------------------------------------------------------------


def _conv_jvp(
    primals: Sequence[Array],
    tangents: Sequence[Array | None],
    outputs: Sequence[Array],
    **parameters: Any,
) -> list[Array | None]:
    (x, w), (dx, dw) = primals, tangents
    left = None if dx is None else bind(conv_p, dx, w, **parameters)[0]
    right = None if dw is None else bind(conv_p, x, dw, **parameters)[0]
    return [accumulate(left, right)]


def _conv_backward(
    residuals: Any, cotangents: Sequence[Array], needed: Sequence[bool], **parameters: Any
) -> list[Array | None]:
    (x, w), _ = residuals
    g = cotangents[0]
    return [
        _input_cotangent(g, x.type, w, **parameters) if needed[0] else None,
        _kernel_cotangent(g, x, w.type, **parameters) if needed[1] else None,
    ]


def _input_cotangent(
    g: Array,
    x: ArrayType,
    w: Array,
    *,
    stride: Sizes,
    padding: Pairs,
    input_dilation: Sizes,
    kernel_dilation: Sizes,
    feature_groups: int,
    batch_groups: int,
) -> Array:
    """`x[u] = sum of w[k] g[p]` over `p * stride = u * input_dilation + low - k * dilation`."""
    rank = w.type.ndim - 2
    sides = []
    for axis in range(rank):
        reach = (w.type.shape[axis] - 1) * kernel_dilation[axis]
        low = reach - padding[axis][0]
        # So much on the other side that exactly the elements of x come out.
        needed = (x.shape[1 + axis] - 1) * input_dilation[axis] + reach
        sides.append((low, needed - low - (g.type.shape[1 + axis] - 1) * stride[axis]))
    groups = max(feature_groups, batch_groups)
    flipped = bind(flip_p, w, axes=tuple(range(rank)))[0]
    result = bind(
        conv_p,
        g,
        _exchange_channels(flipped, groups),
        stride=input_dilation,
        padding=tuple(sides),
        input_dilation=stride,
        kernel_dilation=kernel_dilation,
        feature_groups=groups,
        batch_groups=1,
    )[0]
    if batch_groups == 1:
        return result
    # The groups are side by side in the features; they belong one after the other in the batch.
    split = reshape(result, (*result.type.shape[:-1], batch_groups, x.shape[-1]))
    order = (rank + 1, *range(rank + 1), rank + 2)
    return reshape(transpose(split, order), x.shape)


def _exchange_channels(w: Array, groups: int) -> Array:
    """A kernel (*kernel, in, groups x out) as (*kernel, out, groups x in)."""
    *kernel, inner, outer = w.type.shape
    rank = len(kernel)
    if groups == 1:
        return transpose(w, (*range(rank), rank + 1, rank))
    split = reshape(w, (*kernel, inner, groups, outer // groups))
    exchanged = transpose(split, (*range(rank), rank + 2, rank + 1, rank))
    return reshape(exchanged, (*kernel, outer // groups, groups * inner))


def _kernel_cotangent(
    g: Array,
    x: Array,
    w: ArrayType,
    *,
    stride: Sizes,
    padding: Pairs,
    input_dilation: Sizes,
    kernel_dilation: Sizes,
    feature_groups: int,
    batch_groups: int,
) -> Array:
    """`w[k] = sum of g[p] x[u]` over the same meetings: g is the kernel that slides over x."""
    rank = w.ndim - 2
    sides = []
    for axis in range(rank):
        low = padding[axis][0]
        dilated = (x.type.shape[1 + axis] - 1) * input_dilation[axis]
        reach = (g.type.shape[1 + axis] - 1) * stride[axis]
        # So much on the other side that exactly the places of the kernel come out.
        sides.append((low, (w.shape[axis] - 1) * kernel_dilation[axis] + reach - low - dilated))
    space = tuple(range(1, rank + 1))
    result = bind(
        conv_p,
        transpose(x, (rank + 1, *space, 0)),
        transpose(g, (*space, 0, rank + 1)),
        stride=kernel_dilation,
        padding=tuple(sides),
        input_dilation=input_dilation,
        kernel_dilation=stride,
        feature_groups=batch_groups,
        batch_groups=feature_groups,
    )[0]
    return transpose(result, (*space, 0, rank + 1))


conv_p = declare(
    "conv",
    infer=_infer_conv,
    evaluate=evaluate_conv,
    jvp=_conv_jvp,
    backward=_conv_backward,
    batch=batch_conv,
)

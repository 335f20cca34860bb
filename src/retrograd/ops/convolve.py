"""rg.conv and rg.conv_transpose: one primitive, with the arguments that people know."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError, ShapeError
from ..trace import Array, bind
from .convolution import conv_p
from .promotion import as_array, convert, result_dtype
from .shape import Sizes, flip_p, reshape, transpose
from .sliding import Pairs, as_padding, as_sizes


def _operands(operation: str, x: Any, w: Any, channels: str) -> tuple[Array, Array, int]:
    first, second = as_array(x), as_array(w)
    dtype = result_dtype([first, second])
    rank = second.type.ndim - 2
    if rank < 1 or first.type.ndim != second.type.ndim:
        raise ShapeError(
            f"{operation} takes x (batch, *space, in) and w (*kernel, {channels}) with as many "
            f"axes, received {first.type.shape} and {second.type.shape}.",
            fix="add an axis of size 1 for a missing batch or channel: x[None], x[..., None]",
        )
    return convert(first, dtype), convert(second, dtype), rank


def _resolve_padding(
    operation: str, padding: Any, kernel: Sizes, stride: Sizes, dilation: Sizes
) -> Pairs:
    rank = len(kernel)
    if padding == "valid":
        return ((0, 0),) * rank
    if padding != "same":
        if isinstance(padding, str):
            raise ArgumentError(
                f"{operation}: padding={padding!r} is not known.",
                fix="pass 'same', 'valid', a number, a number for each axis, or a (low, high) "
                "pair for each axis",
            )
        return as_padding(padding, rank, operation)
    totals = [(size - 1) * step for size, step in zip(kernel, dilation, strict=True)]
    if any(step != 1 for step in stride):
        halves = tuple((total // 2, total - total // 2) for total in totals)
        raise ArgumentError(
            f"{operation}: padding='same' keeps the size only with stride 1, received stride "
            f"{stride}.",
            fix=f"pass the padding in numbers, here padding={halves}, which gives "
            "ceil(size / stride) outputs",
        )
    return tuple((total // 2, total - total // 2) for total in totals)


def _as_groups(groups: Any, operation: str) -> int:
    return as_sizes(groups, 1, operation, "groups")[0]


def conv(
    x: Any, w: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Array:
    """Convolution over any number of axes, channels last; the kernel is not flipped.

    `y[n, p, o] = sum over k, c of x[n, p * stride + k * dilation - low, c] * w[k, c, o]`, zero
    outside x.

    Args:
        x: (batch, *space, in).
        w: (*kernel, in / groups, out).
        stride: the step between outputs, in elements: a number, or one for each axis.
        padding: zeros around x: a number, a number for each axis, or a (low, high) pair for each
            axis; negative ones crop. "valid" is 0; "same" keeps the size (stride 1 only).
        dilation: the step between the places of the kernel: a number, or one for each axis.
        groups: the channels are cut into so many groups that do not mix; with as many groups as
            channels the convolution is depthwise.

    Returns:
        (batch, *space', out), with
        `space' = (space + low + high - dilation * (kernel - 1) - 1) // stride + 1`.

    Raises:
        ShapeError: channels, groups or sizes do not go together.
        ArgumentError: "same" with a stride, or a step below 1.

    Example:
        >>> import retrograd as rg
        >>> images, kernel = rg.ones((8, 28, 28, 1)), rg.ones((3, 3, 1, 16))
        >>> rg.conv(images, kernel, padding="same").shape
        (8, 28, 28, 16)
        >>> rg.conv(images, kernel, stride=2, padding=((0, 1), (0, 1))).shape
        (8, 14, 14, 16)

    Source: Y. LeCun et al., Backpropagation applied to handwritten zip code recognition (1989).
    """
    first, second, rank = _operands("conv", x, w, "in / groups, out")
    steps = as_sizes(stride, rank, "conv", "stride")
    holes = as_sizes(dilation, rank, "conv", "dilation")
    sides = _resolve_padding("conv", padding, second.type.shape[:-2], steps, holes)
    return bind(
        conv_p,
        first,
        second,
        stride=steps,
        padding=sides,
        input_dilation=(1,) * rank,
        kernel_dilation=holes,
        feature_groups=_as_groups(groups, "conv"),
        batch_groups=1,
    )[0]


def conv_transpose(
    x: Any,
    w: Any,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Array:
    """Transposed convolution: the gradient of `conv` by its input, as an operation of its own.

    `y[n, p, o] = sum of x[n, u, c] * w[k, c, o]` over all `p = u * stride + k * dilation - low`.

    Args:
        x: (batch, *space, in).
        w: (*kernel, in, out / groups). From a kernel of PyTorch's ConvTranspose2d, which is
            (in, out / groups, height, width), it is `transpose(w, (2, 3, 0, 1))`.
        stride: the step between the places where inputs are put: a number, or one for each axis.
        padding: what is cropped from the full result: a number, a number for each axis, or a
            (low, high) pair for each axis. "valid" is 0; "same" keeps the size (stride 1 only).
        output_padding: outputs added at the high side of each axis, fewer than stride or
            dilation: it chooses among the sizes that a strided conv maps to the same size.
        dilation: the step between the places of the kernel: a number, or one for each axis.
        groups: the channels are cut into so many groups that do not mix.

    Returns:
        (batch, *space', out), with `space' = (space - 1) * stride - low - high
        + dilation * (kernel - 1) + output_padding + 1`.

    Raises:
        ShapeError: channels, groups or sizes do not go together.
        ArgumentError: an output padding that is too large, or a step below 1.

    Example:
        >>> import retrograd as rg
        >>> x, w = rg.ones((8, 7, 7, 32)), rg.ones((3, 3, 32, 16))
        >>> rg.conv_transpose(x, w, stride=2, padding=1, output_padding=1).shape
        (8, 14, 14, 16)

    Source: M. Zeiler et al., Deconvolutional networks, CVPR (2010).
    """
    operation = "conv_transpose"
    first, second, rank = _operands(operation, x, w, "in, out / groups")
    count = _as_groups(groups, operation)
    *kernel, inner, outer = second.type.shape
    if first.type.shape[-1] != inner:
        raise ShapeError(
            f"conv_transpose: x {first.type.shape} has {first.type.shape[-1]} channels (its last "
            f"axis), the kernel {second.type.shape} takes {inner} (its last axis but one).",
            fix="channels come last: x (batch, *space, in), w (*kernel, in, out / groups)",
        )
    if inner % count:
        raise ShapeError(
            f"conv_transpose: {count} groups do not divide the {inner} channels of x "
            f"{first.type.shape}."
        )
    steps = as_sizes(stride, rank, operation, "stride")
    holes = as_sizes(dilation, rank, operation, "dilation")
    added = as_sizes(output_padding, rank, operation, "output_padding", least=0)
    if any(n >= max(s, d) for n, s, d in zip(added, steps, holes, strict=True)):
        raise ArgumentError(
            f"conv_transpose: output_padding {added} must be smaller than stride {steps} or "
            f"dilation {holes} along each axis."
        )
    cropped = _resolve_padding(operation, padding, tuple(kernel), steps, holes)
    sides = []
    for axis, (low, high) in enumerate(cropped):
        reach = (kernel[axis] - 1) * holes[axis]
        sides.append((reach - low, reach - high + added[axis]))
        size = (first.type.shape[1 + axis] - 1) * steps[axis] + reach + added[axis] + 1
        if size - low - high < 1:
            raise ShapeError(
                f"conv_transpose: padding {(low, high)} crops all of the {size} outputs along "
                f"axis {axis} of space (x is {first.type.shape}).",
                fix="use less padding",
            )
    weight = bind(flip_p, second, axes=tuple(range(rank)))[0]
    if count > 1:
        split = reshape(weight, (*kernel, count, inner // count, outer))
        ordered = transpose(split, (*range(rank), rank + 1, rank, rank + 2))
        weight = reshape(ordered, (*kernel, inner // count, count * outer))
    return bind(
        conv_p,
        first,
        weight,
        stride=(1,) * rank,
        padding=tuple(sides),
        input_dilation=steps,
        kernel_dilation=holes,
        feature_groups=count,
        batch_groups=1,
    )[0]

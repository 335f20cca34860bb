"""Convolutions over one, two or three axes, channels last, and the transposed one."""

from __future__ import annotations

import math
from typing import Any

from ..errors import ArgumentError
from ..ops.convolve import conv, conv_transpose
from ..ops.sliding import as_padding, as_sizes
from ..trace import Array
from .initialise import Init, describe_initialiser, draw_bias, draw_weight, get_initialiser
from .layer import Layer, as_count, as_flag, as_input, check_images, plain_sizes

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d"]


class _Convolution(Layer):
    """The abstract base: arguments, weights and checks of a convolution of some rank."""

    rank: int
    weight: Array
    bias: Array | None

    def _set_up(
        self,
        channels: tuple[int, int],
        sizes: dict[str, Any],
        padding: Any,
        groups: int,
    ) -> None:
        """Check the arguments and keep them."""
        name = type(self).__name__
        self.in_channels = as_count(channels[0], "in_channels", name)
        self.out_channels = as_count(channels[1], "out_channels", name)
        self.groups = as_count(groups, "groups", name)
        for label, count in (("in", self.in_channels), ("out", self.out_channels)):
            if count % self.groups:
                raise ArgumentError(
                    f"{name}: {self.groups} groups do not divide {label}_channels={count}.",
                    fix="each group takes an equal share of the channels",
                )
        self.kernel_size = as_sizes(sizes["kernel_size"], self.rank, name, "kernel_size")
        self.stride = as_sizes(sizes["stride"], self.rank, name, "stride")
        self.dilation = as_sizes(sizes["dilation"], self.rank, name, "dilation")
        self.padding = _as_padding(padding, self.rank, name, self.stride)

    def _draw(self, bias: bool, init: Init, transposed: bool) -> None:
        """The initial weight and bias."""
        name, kernel = type(self).__name__, math.prod(self.kernel_size)
        self._init = get_initialiser(init, name)
        if transposed:
            ends = (self.in_channels, self.out_channels // self.groups)
            # PyTorch counts what leaves one input as the fan-in here.
            fans = (kernel * ends[1], kernel * ends[0])
        else:
            ends = (self.in_channels // self.groups, self.out_channels)
            fans = (kernel * ends[0], kernel * ends[1])
        self.weight = draw_weight(self._init, (*self.kernel_size, *ends), name, fans)
        self.bias = None
        if as_flag(bias, "bias", name):
            self.bias = draw_bias(self._init, self.out_channels, fans[0])

    def _prepare(self, x: Any) -> Array:
        value = as_input(x, self.weight.type.dtype)
        check_images(self, value, self.rank, self.in_channels)
        return value

    def _add_bias(self, result: Array) -> Array:
        return result if self.bias is None else result + self.bias

    def config(self) -> dict[str, Any]:
        return {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "kernel_size": plain_sizes(self.kernel_size),
            "stride": plain_sizes(self.stride),
            "padding": plain_sizes(self.padding),
            "dilation": plain_sizes(self.dilation),
            "groups": self.groups,
            "bias": self.bias is not None,
            "init": describe_initialiser(self._init),
        }


def _as_padding(padding: Any, rank: int, layer: str, stride: tuple[int, ...]) -> Any:
    """ "same", or a number or a (low, high) pair for each axis."""
    if padding == "valid":
        return (0,) * rank
    if padding == "same":
        if any(step != 1 for step in stride):
            raise ArgumentError(
                f"{layer}: padding='same' keeps the size only with stride 1, received stride "
                f"{stride}.",
                fix="pass the padding in numbers",
            )
        return "same"
    if isinstance(padding, str):
        raise ArgumentError(
            f"{layer}: padding={padding!r} is not known.",
            fix="pass 'same', 'valid', a number, a number for each axis, or a (low, high) pair "
            "for each axis",
        )
    pairs = as_padding(padding, rank, layer)
    return tuple(low if low == high else (low, high) for low, high in pairs)


class _Convolve(_Convolution):
    """The abstract base of the convolutions that are not transposed."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        init: Init = "default",
    ) -> None:
        sizes = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation}
        self._set_up((in_channels, out_channels), sizes, padding, groups)
        self._draw(bias, init, transposed=False)

    def __call__(self, x: Any) -> Array:
        value = self._prepare(x)
        result = conv(value, self.weight, self.stride, self.padding, self.dilation, self.groups)
        return self._add_bias(result)


class Conv1d(_Convolve):
    """Convolution over one axis (time): `y = conv(x, W) + b`.

    Initial values: with "default" U(-b, b) with b = 1 / sqrt(kernel * in / groups) for weight and
    bias (as PyTorch); with any other initialiser the bias is zeros.

    Args:
        in_channels, out_channels: sizes of the last axis of input and output.
        kernel_size: the length of the kernel.
        stride: the step between outputs.
        padding: zeros at both ends: a number, a (low, high) pair in a tuple, "valid" (0), or
            "same" (keeps the length; stride 1 only).
        dilation: the step between the places of the kernel.
        groups: the channels are cut into so many groups that do not mix.
        bias: whether to add b.
        init: the initialiser of the weight.

    Shapes: x (batch, length, in), weight (kernel, in / groups, out), bias (out,), the result
    (batch, length', out) with
    `length' = (length + low + high - dilation * (kernel - 1) - 1) // stride + 1`.

    Raises:
        ShapeError: x has other axes or channels.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> nn.Conv1d(2, 8, kernel_size=5)(rg.ones((4, 100, 2))).shape
        (4, 96, 8)

    Source: A. Waibel et al., Phoneme recognition using time-delay neural networks (1989).
    """

    rank = 1


class Conv2d(_Convolve):
    """Convolution over height and width: `y = conv(x, W) + b`. The kernel is not flipped.

    Initial values: with "default" U(-b, b) with b = 1 / sqrt(kernel_height * kernel_width *
    in / groups) for weight and bias (as PyTorch); with any other initialiser the bias is zeros.

    Args:
        in_channels, out_channels: sizes of the last axis of input and output.
        kernel_size: a number, or (height, width).
        stride: the step between outputs: a number, or one for each axis.
        padding: zeros around the image: a number, one for each axis, a (low, high) pair for each
            axis, "valid" (0), or "same" (keeps the size; stride 1 only).
        dilation: the step between the places of the kernel: a number, or one for each axis.
        groups: the channels are cut into so many groups that do not mix; with as many groups as
            channels the convolution is depthwise.
        bias: whether to add b.
        init: the initialiser of the weight.

    Shapes: x (batch, height, width, in), weight (kernel_height, kernel_width, in / groups, out),
    bias (out,), the result (batch, height', width', out) with
    `size' = (size + low + high - dilation * (kernel - 1) - 1) // stride + 1`.

    Raises:
        ShapeError: x has other axes or channels.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> layer = nn.Conv2d(1, 16, kernel_size=3, padding="same", init="he_normal")
        >>> layer(rg.ones((8, 28, 28, 1))).shape
        (8, 28, 28, 16)

    Source: Y. LeCun et al., Backpropagation applied to handwritten zip code recognition (1989).
    """

    rank = 2


class Conv3d(_Convolve):
    """Convolution over depth, height and width: `y = conv(x, W) + b`.

    Initial values: with "default" U(-b, b) with b = 1 / sqrt(prod(kernel) * in / groups) for weight
    and bias (as PyTorch); with any other initialiser the bias is zeros.

    Args:
        in_channels, out_channels: sizes of the last axis of input and output.
        kernel_size, stride, padding, dilation, groups, bias, init: as those of `Conv2d`, with
            three axes.

    Shapes: x (batch, depth, height, width, in), weight (*kernel, in / groups, out), bias (out,),
    the result (batch, depth', height', width', out).

    Raises:
        ShapeError: x has other axes or channels.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> nn.Conv3d(1, 4, kernel_size=3, stride=2)(rg.ones((2, 9, 9, 9, 1))).shape
        (2, 4, 4, 4, 4)

    Source: S. Ji et al., 3D convolutional neural networks for human action recognition (2013).
    """

    rank = 3


class ConvTranspose2d(_Convolution):
    """Transposed convolution: the gradient of a Conv2d by its input, as a layer; it enlarges.

    `y[n, p, o] = b[o] + sum of x[n, u, c] * W[k, c, o]` over all
    `p = u * stride + k * dilation - padding`.

    Initial values: with "default" U(-b, b) with b = 1 / sqrt(kernel_height * kernel_width *
    out / groups) for weight and bias (as PyTorch); with any other initialiser the bias is zeros.

    Args:
        in_channels, out_channels: sizes of the last axis of input and output.
        kernel_size: a number, or (height, width).
        stride: the step between the places where inputs are put.
        padding: what is cropped from the full result: a number, one for each axis, or a
            (low, high) pair for each axis.
        output_padding: outputs added at the high side of each axis, fewer than stride or dilation.
        groups: the channels are cut into so many groups that do not mix.
        bias: whether to add b.
        dilation: the step between the places of the kernel.
        init: the initialiser of the weight.

    Shapes: x (batch, height, width, in), weight (kernel_height, kernel_width, in, out / groups),
    bias (out,), the result (batch, height', width', out) with `size' = (size - 1) * stride
    - low - high + dilation * (kernel - 1) + output_padding + 1`.

    Raises:
        ShapeError: x has other axes or channels.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> layer = nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1)
        >>> layer(rg.ones((8, 7, 7, 32))).shape
        (8, 14, 14, 16)

    Source: M. Zeiler et al., Deconvolutional networks, CVPR 2010.
    """

    rank = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        init: Init = "default",
    ) -> None:
        sizes = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation}
        self._set_up((in_channels, out_channels), sizes, padding, groups)
        self.output_padding = as_sizes(output_padding, 2, "ConvTranspose2d", "output_padding", 0)
        limits = map(max, self.stride, self.dilation)
        if any(n >= limit for n, limit in zip(self.output_padding, limits, strict=True)):
            raise ArgumentError(
                f"ConvTranspose2d: output_padding {self.output_padding} must be smaller than "
                f"stride {self.stride} or dilation {self.dilation} along each axis."
            )
        self._draw(bias, init, transposed=True)

    def __call__(self, x: Any) -> Array:
        value = self._prepare(x)
        result = conv_transpose(
            value,
            self.weight,
            self.stride,
            self.padding,
            self.output_padding,
            self.dilation,
            self.groups,
        )
        return self._add_bias(result)

    def config(self) -> dict[str, Any]:
        return super().config() | {"output_padding": plain_sizes(self.output_padding)}

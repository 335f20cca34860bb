"""Pooling: the largest element or the mean of each window, channels last."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from ..ops.pooling import avg_pool, max_pool
from ..ops.promotion import as_array
from ..ops.sliding import as_sizes
from ..trace import Array
from .layer import Layer, as_flag, check_images, plain_sizes

__all__ = ["AvgPool1d", "AvgPool2d", "MaxPool1d", "MaxPool2d"]


class _Pool(Layer):
    """The abstract base: the arguments of a window."""

    rank: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        name = type(self).__name__
        self.kernel_size = as_sizes(kernel_size, self.rank, name, "kernel_size")
        self.stride = self.kernel_size
        if stride is not None:
            self.stride = as_sizes(stride, self.rank, name, "stride")
        self.padding = as_sizes(padding, self.rank, name, "padding", least=0)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ArgumentError(
                f"{name}: padding {self.padding} is more than half of kernel_size "
                f"{self.kernel_size}.",
                fix="a window would lie in the padding alone: use less padding",
            )

    def _prepare(self, x: Any) -> Array:
        value = as_array(x)
        check_images(self, value, self.rank, None)
        return value

    def config(self) -> dict[str, Any]:
        return {
            "kernel_size": plain_sizes(self.kernel_size),
            "stride": plain_sizes(self.stride),
            "padding": plain_sizes(self.padding),
        }


class _MaxPool(_Pool):
    """The abstract base of the largest element of windows."""

    def __call__(self, x: Any) -> Array:
        return max_pool(self._prepare(x), self.kernel_size, self.stride, self.padding)


class _AvgPool(_Pool):
    """The abstract base of the mean of windows."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        name = type(self).__name__
        self.count_include_pad = as_flag(count_include_pad, "count_include_pad", name)

    def __call__(self, x: Any) -> Array:
        return avg_pool(
            self._prepare(x), self.kernel_size, self.stride, self.padding, self.count_include_pad
        )

    def config(self) -> dict[str, Any]:
        return super().config() | {"count_include_pad": self.count_include_pad}


class MaxPool1d(_MaxPool):
    """The largest element of each window along one axis; the first of equals gets the gradient.

    Args:
        kernel_size: the length of a window.
        stride: the step between windows; `kernel_size` by default.
        padding: places at both ends, which never win; at most half of kernel_size.

    Shapes: x (batch, length, channels), the result (batch, length', channels) with
    `length' = (length + 2 * padding - kernel_size) // stride + 1`.

    Raises:
        ShapeError: x has another number of axes, or is smaller than a window.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> nn.MaxPool1d(2)(rg.ones((4, 100, 8))).shape
        (4, 50, 8)
    """

    rank = 1


class MaxPool2d(_MaxPool):
    """The largest element of each window over height and width.

    The first of equal elements gets the gradient.

    Args:
        kernel_size: a number, or (height, width).
        stride: the step between windows; `kernel_size` by default.
        padding: places around the image, which never win; at most half of kernel_size.

    Shapes: x (batch, height, width, channels), the result (batch, height', width', channels) with
    `size' = (size + 2 * padding - kernel_size) // stride + 1`.

    Raises:
        ShapeError: x has another number of axes, or is smaller than a window.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> nn.MaxPool2d(2)(rg.ones((8, 28, 28, 16))).shape
        (8, 14, 14, 16)
    """

    rank = 2


class AvgPool1d(_AvgPool):
    """The mean of each window along one axis. Integers give float32.

    Args:
        kernel_size: the length of a window.
        stride: the step between windows; `kernel_size` by default.
        padding: zeros at both ends; at most half of kernel_size.
        count_include_pad: whether the zeros of the padding count as elements of the mean.

    Shapes: x (batch, length, channels), the result (batch, length', channels) with
    `length' = (length + 2 * padding - kernel_size) // stride + 1`.

    Raises:
        ShapeError: x has another number of axes, or is smaller than a window.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> nn.AvgPool1d(2)(rg.ones((4, 100, 8))).shape
        (4, 50, 8)
    """

    rank = 1


class AvgPool2d(_AvgPool):
    """The mean of each window over height and width. Integers give float32.

    Args:
        kernel_size: a number, or (height, width).
        stride: the step between windows; `kernel_size` by default.
        padding: zeros around the image; at most half of kernel_size.
        count_include_pad: whether the zeros of the padding count as elements of the mean.

    Shapes: x (batch, height, width, channels), the result (batch, height', width', channels) with
    `size' = (size + 2 * padding - kernel_size) // stride + 1`.

    Raises:
        ShapeError: x has another number of axes, or is smaller than a window.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> nn.AvgPool2d(2)(rg.ones((8, 28, 28, 16))).shape
        (8, 14, 14, 16)
    """

    rank = 2

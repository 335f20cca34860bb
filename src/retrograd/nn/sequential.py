"""Sequential: layers one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..errors import ArgumentTypeError, IndexRangeError
from ..trace import Array
from .layer import Layer

__all__ = ["Sequential"]


class Sequential(Layer):
    """Calls one layer after the other: `y = layers[-1](... layers[1](layers[0](x)))`.

    The paths of the layers are `layers.0`, `layers.1`, ... It can be indexed, sliced and iterated.

    Args:
        layers: Modules, or functions of one Array such as `nn.relu`.

    Raises:
        ArgumentTypeError: something that cannot be called, or a class in the place of a layer.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.relu, nn.Linear(8, 3))
        >>> model(rg.ones((2, 4))).shape
        (2, 3)
        >>> len(model), len(model[:2])
        (3, 2)
    """

    def __init__(self, *layers: Callable[..., Any]) -> None:
        for index, layer in enumerate(layers):
            _check_layer(index, layer)
        self.layers = list(layers)

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return iter(self.layers)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Sequential(*self.layers[index])
        if isinstance(index, bool) or not hasattr(index, "__index__"):
            raise ArgumentTypeError(
                f"Sequential: an index is an integer or a slice, received {index!r:.60}."
            )
        if not -len(self.layers) <= index < len(self.layers):
            raise IndexRangeError(
                f"Sequential: index {index} is out of range for {len(self.layers)} layers."
            )
        return self.layers[index]

    def config(self) -> dict[str, Any]:
        from .build import describe_layers

        return {"layers": describe_layers(self.layers)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sequential:
        from .build import build_layers

        return cls(*build_layers(config["layers"]))


def _check_layer(index: int, layer: Any) -> None:
    if isinstance(layer, type):
        raise ArgumentTypeError(
            f"Sequential: layer {index} is the class {layer.__name__}, not a layer.",
            fix=f"write {layer.__name__}(...)",
        )
    if isinstance(layer, (list, tuple)):
        raise ArgumentTypeError(
            f"Sequential: layer {index} is a {type(layer).__name__}.",
            fix="write Sequential(*layers), with a star",
        )
    if isinstance(layer, Array) or not callable(layer):
        raise ArgumentTypeError(
            f"Sequential: layer {index} is a {type(layer).__name__}, which cannot be called.",
            fix="pass Modules, or functions of one Array",
        )

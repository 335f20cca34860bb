"""Built-in layers as plain data and back: how a saved model says how to build it.

The form of a layer is `{"type": "Linear", "config": {...}}`, that of an activation function in a
Sequential `{"function": "relu"}`. A layer that stands in a Sequential a second time (tied weights)
is `{"same_as": k}`, the k-th of the layers in the order in which they are written. Only the layers
and functions of the tables below can be built: nothing in a file is imported or executed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ArgumentError, ArgumentTypeError, RetrogradError, suggest
from ..ops.random import default_generator
from . import (
    activation_layers,
    activations,
    attention,
    convolution,
    dropout,
    embedding,
    linear,
    normalisation,
    pooling,
    positions,
    recurrent,
    recurrent_cells,
    sequential,
    shape,
    transformer,
    transformer_layers,
)
from .layer import Layer
from .module import Module
from .sequential import Sequential

Form = dict[str, Any]

LAYERS: dict[str, type[Layer]] = {
    name: getattr(module, name)
    for module in (
        activation_layers,
        attention,
        convolution,
        dropout,
        embedding,
        linear,
        normalisation,
        pooling,
        recurrent,
        recurrent_cells,
        positions,
        sequential,
        shape,
        transformer,
        transformer_layers,
    )
    for name in module.__all__
    if isinstance(getattr(module, name), type)
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(activations, name) for name in activations.__all__
}


def register_layer(cls: type[Layer]) -> None:
    """Let models of this package be described and built by their name, as the layers of `nn` are.

    Args:
        cls: a Layer whose `config()` has the arguments of its constructor.
    """
    LAYERS[cls.__name__] = cls


def describe_layer(layer: Module) -> Form:
    """A built-in layer as plain data, without its weights.

    Args:
        layer: a layer of `nn`; a Sequential may hold layers and functions of `nn`.

    Returns:
        A dict that JSON can hold, for `build_layer`.

    Raises:
        ArgumentTypeError: it is, or holds, a class or function of the user.

    Example:
        >>> from retrograd import nn
        >>> nn.describe_layer(nn.Dropout(0.5))
        {'type': 'Dropout', 'config': {'p': 0.5}}
    """
    return _describe(layer, {})


def describe_layers(layers: Sequence[Any]) -> list[Form]:
    """The layers of a Sequential as plain data."""
    known: dict[int, int] = {}
    return [_describe(layer, known) for layer in layers]


def _describe(layer: Any, known: dict[int, int]) -> Form:
    for name, function in FUNCTIONS.items():
        if layer is function:
            return {"function": name}
    if not isinstance(layer, Layer) or LAYERS.get(type(layer).__name__) is not type(layer):
        name = getattr(layer, "__qualname__", type(layer).__qualname__)
        raise ArgumentTypeError(
            f"{name} is not a layer or activation of retrograd.nn: how to build it cannot be "
            "written down.",
            fix="save the weights alone (rg.save_weights), or load the model into an object that "
            "you build: rg.load_model(folder, into=model)",
        )
    if id(layer) in known:
        return {"same_as": known[id(layer)]}
    known[id(layer)] = len(known)
    if isinstance(layer, Sequential):
        config: Form = {"layers": [_describe(item, known) for item in layer.layers]}
    else:
        config = layer.config()
    return {"type": type(layer).__name__, "config": config}


def build_layer(form: Form) -> Layer:
    """A new layer from its form as plain data. The random generator is left as it was.

    Args:
        form: what `describe_layer` gave.

    Returns:
        The layer, with new initial weights.

    Raises:
        ArgumentError: the form describes no built-in layer.

    Example:
        >>> from retrograd import nn
        >>> nn.build_layer({"type": "Dropout", "config": {"p": 0.5}})
        Dropout(p=0.5)
    """
    built = build_layers([form])[0]
    if not isinstance(built, Layer):
        raise ArgumentError(f"{form!r:.80} describes a function, not a layer.")
    return built


def build_layers(forms: Sequence[Form]) -> list[Any]:
    """New layers and functions from their forms."""
    if not isinstance(forms, list):
        raise ArgumentError(f"The layers are a list, received {type(forms).__name__}.")
    generator = default_generator()
    state = generator.state
    known: list[Layer | None] = []
    try:
        return [_build(form, known) for form in forms]
    finally:
        generator.state = state


def _build(form: Any, known: list[Layer | None]) -> Any:
    if not isinstance(form, dict):
        raise ArgumentError(f"A layer is described by a dict, received {form!r:.80}.")
    if set(form) == {"function"}:
        return _look_up(form["function"], FUNCTIONS, "function")
    if set(form) == {"same_as"}:
        index = form["same_as"]
        if not isinstance(index, int) or not 0 <= index < len(known) or known[index] is None:
            raise ArgumentError(f"No layer {index!r:.80} comes before {form!r:.80}.")
        return known[index]
    if set(form) != {"type", "config"} or not isinstance(form["config"], dict):
        raise ArgumentError(f"{form!r:.80} describes no layer.")
    cls = _look_up(form["type"], LAYERS, "layer")
    position = len(known)
    known.append(None)
    if cls is Sequential:
        inner = form["config"].get("layers")
        if not isinstance(inner, list):
            raise ArgumentError(f"{form!r:.80} describes no layer.")
        built: Layer = Sequential(*[_build(item, known) for item in inner])
    else:
        built = _construct(cls, form["config"])
    known[position] = built
    return built


def _look_up(name: Any, table: dict[str, Any], kind: str) -> Any:
    if not isinstance(name, str) or name not in table:
        raise ArgumentError(
            f"retrograd.nn has no {kind} {name!r:.80}. {suggest(str(name), table)}",
            fix="the model may come from a newer version of retrograd",
        )
    return table[name]


def _construct(cls: type[Layer], config: Form) -> Layer:
    try:
        return cls.from_config(config)
    except RetrogradError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(
            f"{cls.__name__} cannot be built from {config!r:.200}: {error}."
        ) from None

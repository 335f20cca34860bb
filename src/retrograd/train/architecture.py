"""How to build a model again, as plain values: the architecture entry of model.json.

`nn.describe_layer` writes the built-in layers down, `nn.build_layer` builds them, from fixed tables
of layers and functions; nothing else is ever called. Here stands what makes this safe for files of
unknown origin: a model is built without values, so that its shapes can be compared with those in
the weights file before anything of that size exists.
"""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError, FileFormatError, RetrogradError
from ..nn import Module
from ..nn.build import build_layer, describe_layer
from ..nn.initialise import get_initialiser
from ..nn.layer import Layer
from ..nn.sequential import Sequential
from ..staging import describe, trace
from ..trace import recording_depth
from .model_json import damaged_json, make_plain, take
from .weights import collect_arrays

Shapes = dict[str, tuple[int, ...]]
DEPTH_IN_FILE = 4
INITIALISERS = ("init", "recurrent_init")
"""The arguments of layers that say how weights are drawn."""


def describe_architecture(model: Module) -> dict[str, Any]:
    """The architecture entry of model.json, by which `load_model` builds the model again.

    Without `root`, and with a `reason`, where the model is more than built-in layers.
    """
    entry: dict[str, Any] = {"class": type(model).__name__}
    try:
        root = make_plain(describe_layer(model), "its description", depth=DEPTH_IN_FILE)
        changed = _find_change(model, _build_without_values(root, "the model"))
    except RetrogradError as error:
        return entry | {"reason": error.message.rstrip(".")}
    if changed is not None:
        return entry | {"reason": f"{changed!r} was added, removed or changed after it was built"}
    modules = list(model.modules())
    return entry | {
        "root": root,
        "frozen": [path for path, module in modules if module._frozen],
        "evaluating": [path for path, module in modules if not module.training],
    }


def _find_change(model: Module, rebuilt: Module) -> str | None:
    """The path of an Array or Module that the model has otherwise than when it is built again."""
    wanted, found = _shapes(model), _shapes(rebuilt)
    wanted_types, found_types = (
        {path: type(module) for path, module in one.modules()} for one in (model, rebuilt)
    )
    wanted_buffers, found_buffers = (
        {path: module._buffers for path, module in one.modules()} for one in (model, rebuilt)
    )
    for path in [*wanted, *found]:
        if wanted.get(path) != found.get(path):
            return path
    for path in [*wanted_types, *found_types]:
        if wanted_types.get(path) != found_types.get(path):
            return path
        if wanted_buffers[path] != found_buffers[path]:
            return path
    return None


def _shapes(model: Module) -> Shapes:
    return {path: array.type.shape for path, array in collect_arrays(model).items()}


def build_model(architecture: dict[str, Any], shapes: Shapes, name: str) -> Module:
    """A model of built-in layers, its Arrays not yet set.

    Args:
        architecture: the entry of model.json.
        shapes: the shapes in the weights file. They are compared before anything of that size is
            made, so that no entry of model.json can ask for more memory than the weights take.
        name: the path of model.json, for messages.

    Raises:
        FileFormatError: unknown layers or arguments, or other shapes.
    """
    root = take(architecture, "root", dict, name)
    model = _build_without_values(root, name)
    found = _shapes(model)
    for path in [*found, *shapes]:
        if found.get(path) != shapes.get(path):
            raise damaged_json(
                name,
                f"by its layers the shape of {path!r} is {found.get(path, 'none')}, "
                f"in the weights file {shapes.get(path, 'none')}",
            )
    _restore_init(model, root, name)
    modules = dict(model.modules())
    for module in modules.values():
        module.__dict__["_level"] = recording_depth()
    for key, flag, value in (("frozen", "_frozen", True), ("evaluating", "_training", False)):
        for path in take(architecture, key, list, name):
            if not isinstance(path, str) or path not in modules:
                raise damaged_json(name, f"{key!r} names {path!r:.60}, which is no layer")
            modules[path].set_flag(flag, value)
    return model


def _build_without_values(root: dict[str, Any], name: str) -> Module:
    """The model with Arrays of which only dtype and shape are worked out.

    Random draws are recorded, not evaluated, and zeros and ones take no memory. The random
    generator is as before afterwards. Initialisers are left out: some need values.
    """
    built: list[Layer] = []

    def build() -> None:
        built.append(build_layer(_without_init(root)))

    try:
        trace(build, describe((), {}), lambda leaf: True, name="load_model", trace_ambient=True)
    except ArgumentError as error:
        raise _cannot_build(name, error) from error
    except Exception as error:  # a constructor that met values which nobody would write
        reason = error.message if isinstance(error, RetrogradError) else f"{error!r:.200}"
        raise damaged_json(name, f"its layers cannot be built ({reason.rstrip('.')})") from error
    return built[0]


def _without_init(form: Any) -> Any:
    """The description of a layer with the default initialisers."""
    if isinstance(form, list):
        return [_without_init(item) for item in form]
    if not isinstance(form, dict):
        return form
    return {
        key: "default" if key in INITIALISERS else _without_init(value)
        for key, value in form.items()
    }


def _restore_init(module: Any, form: Any, name: str) -> None:
    """Tell each layer the initialiser that it was made with, without drawing from it."""
    config = form.get("config", {})
    if isinstance(module, Sequential):
        for item, inner in zip(module.layers, config["layers"], strict=True):
            _restore_init(item, inner, name)
        return
    for key, value in config.items():
        part = getattr(module, key, None)
        if isinstance(part, Layer) and isinstance(value, dict):  # described inside of a model
            _restore_init(part, value, name)
    for key in INITIALISERS:
        if key in config and isinstance(module, Layer):
            try:
                found = get_initialiser(config[key], type(module).__name__)
            except RetrogradError as error:
                raise _cannot_build(name, error) from error
            except Exception as error:  # numbers that are none
                reason = f"an initialiser makes no sense ({error!r:.200})"
                raise damaged_json(name, reason) from error
            for _, inner in module.modules():  # the cells of a recurrent layer too
                if f"_{key}" in inner.__dict__:
                    inner.__dict__[f"_{key}"] = found


def _cannot_build(name: str, error: RetrogradError) -> FileFormatError:
    return FileFormatError(
        f"{name!r} cannot be built: {error.message}",
        fix=(error.fix or "use an earlier copy of the model directory")
        + "; or build the model in Python and pass it: rg.load_model(path, into=model)",
    )

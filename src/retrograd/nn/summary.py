"""The table that `model.summary()` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..staging import describe, trace
from ..trace import Array
from ..tree import flatten

if TYPE_CHECKING:
    from .module import Module


def summarise(model: Module, example: tuple[Any, ...] = ()) -> str:
    """One line for each Module: path, class, number of parameters, output shape."""
    outputs = _output_shapes(model, example) if example else {}
    header = ["path", "module", "parameters"] + (["output"] if example else [])
    rows = []
    for path, module in model.modules():
        row = [path or "(model)", type(module).__name__, f"{_count(module.state()):,}"]
        if example:
            row.append(outputs.get(path, ""))
        rows.append(row)
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [_line(row, widths) for row in [header, *rows]]
    total, trainable = _count(model.state()), _count(model.parameters())
    size = sum(leaf.type.size * leaf.type.dtype.itemsize for leaf in _unique(model.state()))
    lines.append(f"{total:,} parameters, {trainable:,} trainable, {size / 1e6:.1f} MB")
    return "\n".join(lines)


def represent(model: Module) -> str:
    """The Module as nested lines: its Modules, its Arrays by type, its configuration."""
    from .module import Module

    lines: list[str] = []
    for name, value in model.public_items():
        if isinstance(value, (list, tuple)) and any(isinstance(item, Module) for item in value):
            lines.extend(f"{name}.{n}: {_represent_item(v)}" for n, v in enumerate(value))
        elif isinstance(value, Module):
            lines.append(f"{name}: {value!r}")
        elif isinstance(value, Array):
            lines.append(f"{name}: {value.type}")
        elif isinstance(value, (bool, int, float, str, tuple)) and not name.startswith("_"):
            lines.append(f"{name}={value!r}")
    if not any("\n" in line or ": " in line for line in lines):
        return f"{type(model).__name__}({', '.join(lines)})"
    body = "\n".join(lines).replace("\n", "\n  ")
    return f"{type(model).__name__}(\n  {body}\n)"


def _represent_item(value: Any) -> str:
    """A plain function by its name, without its address."""
    return getattr(value, "__name__", None) or repr(value)


def _line(row: list[str], widths: list[int]) -> str:
    cells = [
        cell.rjust(width) if index == 2 else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _unique(tree: Any) -> list[Array]:
    return list({id(leaf): leaf for leaf in flatten(tree)[0]}.values())


def _count(tree: Any) -> int:
    return sum(leaf.type.size for leaf in _unique(tree))


def _output_shapes(model: Module, example: tuple[Any, ...]) -> dict[str, str]:
    """The type of what the last node recorded inside each Module gives."""
    training = {id(module): module.training for _, module in model.modules()}
    call = describe((model.eval(), *example), {})
    shapes: dict[str, str] = {}
    try:
        staged = trace(
            lambda module, *arguments: module(*arguments),
            call,
            lambda leaf: True,
            name="summary",
            abstract="a summary",
        )
    finally:
        for _, module in model.modules():
            module.set_flag("_training", training[id(module)])
    for node in staged.graph.nodes:
        shape = str(node.outputs[0].type.shape)
        parts = node.path.split(".") if node.path else []
        for length in range(len(parts) + 1):
            shapes[".".join(parts[:length])] = shape
    return shapes

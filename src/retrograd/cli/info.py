"""`retrograd info`: what a model directory holds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .run import Output, count, shorten_list

if TYPE_CHECKING:
    from ..train.saving import ModelInfo


def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model directory.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Tell what a model directory holds.

    The network, the columns and why they are used or not, how it was trained and tested.

    Examples:

    \b
      retrograd info model
      retrograd info model --json
    """
    from ..train.saving import load_model_info
    from .tasks import find_trained_task

    output = Output(json)
    found = load_model_info(model)
    numbers = sum(math.prod(array.shape) for array in found.arrays.values())
    output.say(
        f"{model}: {found.model_class}, {count(numbers, 'number')} in "
        f"{count(len(found.arrays), 'array')}, saved by retrograd {found.retrograd_version}"
    )
    result: dict[str, Any] = {
        "model": model,
        "class": found.model_class,
        "numbers": numbers,
        "retrograd_version": found.retrograd_version,
        "arrays": {
            name: {"dtype": array.dtype.name, "shape": list(array.shape)}
            for name, array in found.arrays.items()
        },
    }
    task = find_trained_task(found)
    if task is not None:
        result |= task.describe(found, output)
    else:
        _tell_network(found, output)
        result["extra"] = found.extra
    output.finish(result)


def _tell_network(found: ModelInfo, output: Output) -> None:
    output.show_table([[name, str(array)] for name, array in found.arrays.items()])
    if found.needs_into:
        output.warn(f"load_model needs into=: {found.needs_into}")
    for name, section in found.extra.items():
        if isinstance(section, dict):
            output.say(f"{name}:")
            output.show_table([[key, f"{value!s:.100}"] for key, value in section.items()])
        else:
            listed = section if isinstance(section, list) else [section]
            output.say(f"{name}: {shorten_list([f'{item!s:.100}' for item in listed], 10)}")

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
    from .table_model import SECTION, load_table_model

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
    if SECTION in found.extra:
        trained = load_table_model(model)
        result |= _tell_table(trained, output)
    else:
        _tell_network(found, output)
        result["extra"] = found.extra
    output.finish(result)


def _tell_table(trained: Any, output: Output) -> dict[str, Any]:
    from .scores import lay_out_scores
    from .train import show_plan

    report, preprocessor = trained.report, trained.preprocessor
    output.say(f"Predicts {preprocessor.target.name!r} ({preprocessor.task})")
    if preprocessor.classes:
        shown = ", ".join(preprocessor.classes[:10])
        more = (
            f" and {len(preprocessor.classes) - 10} more" if len(preprocessor.classes) > 10 else ""
        )
        output.say(f"Classes: {shown}{more}")
    show_plan(trained.plan, output)
    try:
        rows, scores = report["rows"], report["test"]
        lines = lay_out_scores({name.replace("_", " "): values for name, values in scores.items()})
        learned = "all rows" if report["refit"] else f"{rows['train']:,} rows"
        output.say(
            f"Trained on {report['source']}: {learned}, {count(report['epochs'], 'epoch')}. "
            f"Test on {count(rows['test'], 'row')}:"
        )
        output.show_table(lines)
    except (KeyError, TypeError, ValueError, AttributeError):
        output.warn("the report of the training is not whole; the model works without it")
    columns = [{"column": a, "kind": b, "reason": c} for a, b, c in trained.plan.explain()]
    return {
        "task": preprocessor.task,
        "target": preprocessor.target.name,
        "classes": list(preprocessor.classes),
        "columns": columns,
        "features": list(preprocessor.feature_names),
        "training": report,
    }


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

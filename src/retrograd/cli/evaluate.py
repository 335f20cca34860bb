"""`retrograd evaluate`: how good a model is on data whose answers are known."""

from __future__ import annotations

from typing import Annotated

import typer

from .run import Output


def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A directory that `retrograd train` wrote.")
    ],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A file as the model was trained on.")
    ],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Measure a model on data whose answers are known.

    A table with its target (rows without one are left out), a series whose steps are forecast from
    those before, pairs of texts for a translator, words with their tags for a tagger, or a text for
    a language model. What the model was trained on says little about new data.

    Examples:

    \b
      retrograd evaluate model held_out.csv
      retrograd evaluate model held_out.csv --json
    """
    from .tasks import find_task_of

    find_task_of(model).evaluate(model, data, Output(json))

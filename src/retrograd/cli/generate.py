"""`retrograd generate`: text from a language model, character by character."""

from __future__ import annotations

import sys
from typing import Annotated, Optional

import typer

from .run import Output, shorten_list


def generate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A directory that `retrograd train --task language` wrote."
        ),
    ],
    prompt: Annotated[str, typer.Option(help="What the text begins with.")] = "",
    length: Annotated[int, typer.Option(min=1, help="How many characters to add.")] = 400,
    temperature: Annotated[
        float, typer.Option(help="Below 1 more probable text, above 1 wilder; 0 the most probable.")
    ] = 0.8,
    top_k: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Choose among the K most probable characters."),
    ] = None,
    top_p: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Choose among the most probable ones that sum to P."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same text.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Write text with a language model.

    On a terminal each character appears as soon as it is drawn. Ctrl-C ends the text.

    Examples:

    \b
      retrograd generate model --prompt "It is" --length 400
      retrograd generate model --temperature 0.5 --top-p 0.9 --seed 3 --json
    """
    import math

    from ..errors import ArgumentError
    from .tasks.language.model import load_language_model

    if not 0.0 <= temperature < math.inf:
        raise ArgumentError(f"--temperature is a number of at least 0, received {temperature:g}.")
    if top_p is not None and not 0.0 < top_p <= 1.0:
        raise ArgumentError(f"--top-p is above 0 and at most 1, received {top_p:g}.")
    trained = load_language_model(model)
    unknown = sorted({*prompt} - {*trained.vocabulary.symbols})
    if unknown:
        shown = shorten_list([repr(symbol) for symbol in unknown])
        print(f"note: the model does not know {shown}", file=sys.stderr, flush=True)
    characters = trained.write(prompt, length, temperature or None, top_k, top_p, seed)
    if json:
        text = "".join(characters)
        Output(json).finish({"model": model, "prompt": prompt, "text": text, "seed": seed})
        return
    is_live = sys.stdout.isatty()
    sys.stdout.write(prompt)
    try:
        for character in characters:
            sys.stdout.write(character)
            if is_live:
                sys.stdout.flush()
    finally:
        sys.stdout.write("\n")
        sys.stdout.flush()

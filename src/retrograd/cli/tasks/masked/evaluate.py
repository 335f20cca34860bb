"""How well a pretrained encoder finds the hidden tokens of a text."""

from __future__ import annotations

from ....data.corpus import read_texts
from ....errors import DataError
from ...run import Output, count
from .model import load_masked_model, measure_masked
from .train import show_scores


def evaluate_text(model: str, data: str, output: Output) -> None:
    """Bits and accuracy at hidden tokens of a text file, or of all files of a folder together."""
    trained = load_masked_model(model)
    numbers = trained.vocabulary.encode("".join(read_texts(data).values()))
    unknown = int((numbers == trained.vocabulary.unknown).sum())
    known = len(numbers) - unknown
    if not known:
        raise DataError(
            f"{data!r} holds none of the model's {len(trained.vocabulary.symbols)} "
            f"{trained.vocabulary.kind}.",
            fix="give a text in the language that the model has learned",
        )
    if unknown:
        output.warn(f"not known to the model, and never hidden: {count(unknown, trained.noun)}")
    scores = measure_masked(trained.network, numbers)
    output.say(f"{data}: {count(len(numbers), trained.noun)}; where one is hidden:")
    show_scores({"network": scores}, output)
    output.finish({"model": model, trained.vocabulary.kind: len(numbers), **scores})

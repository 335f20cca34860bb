"""How well a language model predicts a text."""

from __future__ import annotations

from ....data.corpus import read_texts
from ....errors import DataError
from ...run import Output, count, shorten_list
from .model import load_language_model, measure_bits
from .train import show_bits


def evaluate_text(model: str, data: str, output: Output) -> None:
    """Bits per character of a text file, or of all files of a folder together."""
    trained = load_language_model(model)
    text = "".join(read_texts(data).values())
    if len(text) < 2:
        raise DataError(
            f"{data!r} has {count(len(text), 'character')}; each is predicted from the last.",
            fix="give a longer text",
        )
    strange = sorted({*text} - {*trained.vocabulary.symbols})
    if strange:
        shown = shorten_list([repr(symbol) for symbol in strange])
        output.warn(f"not known to the model, and counted as unknown: {shown}")
    bits = measure_bits(trained.network, trained.vocabulary.encode(text))
    output.say(f"{data}: {count(len(text), 'character')}, bits per character:")
    show_bits({"network": bits}, output)
    output.finish({"model": model, "characters": len(text), "bits": bits, "unknown": strange})

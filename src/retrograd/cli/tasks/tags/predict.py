"""Tags for the words of a file, and how many of them are right where they are known."""

from __future__ import annotations

import os
import sys

from ....data.spans import mark_spans
from ....data.tagged import TaggedText, parse_tagged, read_tagged
from ....errors import DataError
from ...plain import STANDARD_INPUT, read_standard_input, write_text
from ...run import Output, count, shorten_list
from ..task import PredictRequest
from .model import TagModel, load_tag_model
from .scoring import score_kinds, score_tags, show_kinds, show_scores


def predict_tags(request: PredictRequest, output: Output) -> None:
    """Write the file with another column: the tags that were found."""
    request.refuse_probabilities("finds tags")
    request.check_out()
    if request.out is None:
        output = Output(output.json, aside=True)  # stdout is for the file
    trained = load_tag_model(request.model)
    text = _read_one(request.data)
    words = text.read_column(trained.columns.find_words(text))
    found = trained.find(words)
    _warn_of_strange_tags(trained, text, output)
    written = text.add_column(found)
    if request.out is None:
        if not output.json:
            sys.stdout.write(written)
    else:
        write_text(request.out, written)
        output.say(f"{count(sum(map(len, words)), 'word')} with their tags: {request.out}")
    result = {"out": request.out, "sequences": len(words), "words": sum(map(len, words))}
    output.finish(result | ({} if request.out else {"tags": found}))


def evaluate_tags(model: str, data: str, output: Output) -> None:
    """How many tags of a file, or of all files of a folder, are found."""
    trained = load_tag_model(model)
    words: list[list[str]] = []
    tags: list[list[str]] = []
    for text in read_tagged(data):
        words += text.read_column(trained.columns.find_words(text))
        tags += text.read_column(trained.columns.find_tags(text))
    strange = sorted({tag for sentence in tags for tag in sentence} - set(trained.encoder.tags))
    if strange:
        output.warn(f"not known to the model, and never found: {shorten_list(strange)}")
    spans = mark_spans(trained.encoder.tags)
    found, known = trained.find(words), trained.counted.of_word
    guessed = trained.counted.find(words)
    scores = {
        name: score_tags(words, tags, listed, known, spans)
        for name, listed in (("network", found), ("baseline", guessed))
    }
    kinds = score_kinds(tags, found, guessed, spans)
    number = sum(map(len, words))
    output.say(
        f"{data}: {count(number, 'word')}, {count(len(words), 'sequence')}; "
        f"{100 * scores['network']['new_words']:.1f} % of the words are new"
    )
    show_scores(scores, output)
    show_kinds(kinds, output)
    about = {"model": model, "sequences": len(words), "words": number}
    output.finish({**about, **scores, "kinds": kinds, "unknown_tags": strange})


def _read_one(data: str) -> TaggedText:
    if data == STANDARD_INPUT:
        return parse_tagged(read_standard_input(), "stdin")
    if os.path.isdir(data):
        raise DataError(f"{data!r} is a folder.", fix="give one file after the other")
    return read_tagged(data)[0]


def _warn_of_strange_tags(trained: TagModel, text: TaggedText, output: Output) -> None:
    """Where a column of tags should be and none of the model's is, the file may be another."""
    if text.width != trained.columns.width:
        return
    column = text.read_column(trained.columns.find_tags(text))
    seen = {tag for sentence in column for tag in sentence}
    if not seen & {*trained.encoder.tags, "_", "O"}:
        name = trained.columns.tags
        output.warn(
            f"the column {name} of {text.source} has none of the model's tags, but "
            f"{shorten_list(sorted(seen))}: are the words in column {trained.columns.words}, one "
            "a line?"
        )

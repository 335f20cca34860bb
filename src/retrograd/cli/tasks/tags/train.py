"""`retrograd train --task tags`: from words with tags to a tested tagger."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ....data.spans import mark_spans
from ....data.tag_counts import FrequentTags, split_sequences
from ....data.tag_encoder import TagEncoder
from ....data.tagged import TaggedText, read_tagged
from ....errors import DataError
from ....ops import random
from ....train.trainer import Trainer
from ...progress import show_share
from ...run import Output, count, quote, shorten_list
from ..ending import end_training
from ..learning import count_numbers
from ..task import TrainRequest
from .fit import choose_tag_recipe, fit_tagger
from .model import Columns, TagModel, find_numbers
from .scoring import score_kinds, score_tags, show_kinds, show_scores

PARTS = ("train", "validation", "test")
MOST_IN_CHAIN = 64
"""With more tags, their pairs would cost more than the rest of the network."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Sequences: their words and their tags."""

    words: list[list[str]]
    tags: list[list[str]]

    def __len__(self) -> int:
        return len(self.words)

    @property
    def size(self) -> int:
        """How many words there are."""
        return sum(map(len, self.words))

    def take(self, numbers: Sequence[int]) -> Part:
        """Some of the sequences."""
        return Part([self.words[n] for n in numbers], [self.tags[n] for n in numbers])


def train_tags(request: TrainRequest, output: Output) -> None:
    """Read, train, measure, save and report."""
    started = time.monotonic()
    texts = read_tagged(request.data)
    options = request.options
    columns = Columns.find(texts[0], options.get("--text"), options.get("--target"))
    whole = gather(texts, columns)
    parts = [whole.take(chosen) for chosen in split_sequences(whole.words, request.seed)]
    train, validation, test = parts
    encoder = TagEncoder.fit(train.words, train.tags)
    spans = mark_spans(tag for sentence in whole.tags for tag in sentence)
    _show_words(request.data, texts, columns, whole, parts, encoder, output)

    chain = spans and len(encoder.tags) <= MOST_IN_CHAIN
    recipe = choose_tag_recipe(len(train), request.epochs, chain)
    random.seed(request.seed)
    network = recipe.make(encoder)
    output.say(f"Network: {recipe.describe()}; {count(count_numbers(network), 'number')}")
    encoded = encoder.encode(train.words, train.tags)
    held_out = encoder.encode(validation.words)
    counted = FrequentTags.count(train.words, train.tags)
    known = counted.of_word

    def measure(trainer: Trainer) -> float:
        found = encoder.decode(find_numbers(trainer, held_out), validation.words)
        scores = score_tags(validation.words, validation.tags, found, known, spans)
        return scores["f1" if spans else "accuracy"]

    what = "F1" if spans else "accuracy"

    def tell(epoch: int, loss: float, score: float) -> None:
        output.say(f"  epoch {epoch:>3}  loss {loss:.3f}  validation {what} {score:.4f}")

    with show_share("training") as show:
        fitted = fit_tagger(network, recipe, encoded, measure, request.seed, tell, show)
    best = count(fitted.epochs, "epoch")
    output.say(f"Best on the validation part after {best}; {fitted.seconds:.0f} s in all")

    found = TagModel(network, encoder, columns, counted, {}).find(test.words)
    guessed = counted.find(test.words)
    scores = {
        name: score_tags(test.words, test.tags, tags, known, spans)
        for name, tags in (("network", found), ("baseline", guessed))
    }
    kinds = score_kinds(test.tags, found, guessed, spans)
    output.say()
    words, new = count(test.size, "word"), scores["network"]["new_words"]
    output.say(f"Test part ({words}, {100 * new:.1f} % of them new; used only now):")
    show_scores(scores, output)
    show_kinds(kinds, output)
    name = "f1" if spans else "accuracy"
    if scores["network"][name] <= scores["baseline"][name]:
        output.warn("the most frequent tag of each word does as well: give it more text")
    report = {
        "source": request.data,
        "sequences": {name: len(part) for name, part in zip(PARTS, parts)},
        "words": {name: part.size for name, part in zip(PARTS, parts)},
        "recipe": recipe.to_json(),
        "seed": request.seed,
        "epochs": fitted.epochs,
        "validation": fitted.validation,
        "training_seconds": round(fitted.seconds, 3),
        "test": scores,
        "kinds": kinds,
        "seconds": round(time.monotonic() - started, 3),
    }
    TagModel(network, encoder, columns, counted, report).save(request.out)
    out = request.out
    about: dict[str, Any] = {"model": out, "task": "tags", "tags": list(encoder.tags)}
    following = f"predict {quote(out)} new.conll --out tagged.conll"
    end_training(output, out, started, following, about | report, fitted.is_interrupted)


def gather(texts: Sequence[TaggedText], columns: Columns) -> Part:
    """The words and tags of all files.

    Raises:
        DataError: a file lacks one of the columns.
    """
    words: list[list[str]] = []
    tags: list[list[str]] = []
    for text in texts:
        words += text.read_column(columns.find_words(text))
        tags += text.read_column(columns.find_tags(text))
    if len({tag for sentence in tags for tag in sentence}) < 2:
        raise DataError(
            f"All words of {texts[0].source} have the tag {tags[0][0]!r:.40}.",
            fix="name the column of the tags with --target",
        )
    return Part(words, tags)


def _show_words(
    data: str,
    texts: Sequence[TaggedText],
    columns: Columns,
    whole: Part,
    parts: Sequence[Part],
    encoder: TagEncoder,
    output: Output,
) -> None:
    files = "" if len(texts) == 1 else f" in {count(len(texts), 'file')}"
    output.say(f"{data}: {count(whole.size, 'word')}, {count(len(whole), 'sequence')}{files}")
    told = [
        name if not name.isdigit() else f"column {name}" for name in (columns.words, columns.tags)
    ]
    tags = Counter(tag for sentence in whole.tags for tag in sentence)
    shown = [f"{tag!s:.40} ({times:,})" for tag, times in tags.most_common()]
    output.say(
        f"Words: {told[0]}; tags: {told[1]}, {count(len(tags), 'tag')}: {shorten_list(shown, 12)}"
    )
    learn, stop, test = (f"{len(part):,}" for part in parts)
    output.say(f"Sequences: {learn} to train on, {stop} to stop on, {test} to test with")
    longest = max(map(len, whole.words))
    if longest > encoder.lengths[-1]:
        output.warn(
            f"the longest sequence has {longest:,} words; longer ones than {encoder.lengths[-1]} "
            "are cut into pieces: is an empty line between sequences missing?"
        )
    missing = sorted(set(tags) - set(encoder.tags))
    if missing:
        output.warn(f"not in the part to train on, and never found: {shorten_list(missing)}")

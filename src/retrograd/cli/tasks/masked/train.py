"""`retrograd train --task masked`: from a text to a pretrained encoder."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ....data.corpus import Corpus, read_corpus
from ....data.masking import Neighbours
from ....data.text import Characters, Symbols, Words
from ....errors import ArgumentError, DataError
from ....ops import random
from ...progress import show_share
from ...run import Output, count, quote, shorten_list
from ..ending import end_training
from ..learning import count_numbers
from ..rounds import Fit
from ..task import TrainRequest
from .fit import (
    MaskedRecipe,
    choose_epochs,
    choose_masked_recipe,
    cut_and_mask,
    fit_masked,
)
from .model import MaskedModel, measure_masked

TOKENS = ("characters", "words")
MOST_WORDS = 8_000
LEAST_TOKENS = 200

Scores = dict[str, dict[str, float]]


def train_masked(request: TrainRequest, output: Output) -> None:
    """Read, train, measure, save and report."""
    data, out, seed, epochs = request.data, request.out, request.seed, request.epochs
    kind = request.options.get("--tokens", TOKENS[0])
    minutes = request.options.get("--minutes")
    if kind not in TOKENS:
        raise ArgumentError(f"--tokens is {kind!r}; expected one of {', '.join(TOKENS)}.")
    started = time.monotonic()
    corpus = read_corpus(data)
    vocabulary = _make_vocabulary(kind, corpus)
    train, validation, test = (
        vocabulary.encode(part) for part in (corpus.train, corpus.validation, corpus.test)
    )
    for part, numbers in (("learn", train), ("stop on", validation), ("test with", test)):
        if (numbers >= 4).sum() < 2:
            raise DataError(
                f"{data!r} has too few {kind} in the part to {part}.", fix="give a longer text"
            )
    noun = kind.removesuffix("s")
    _show_text(data, corpus, vocabulary, (train, validation, test), output)
    recipe = choose_masked_recipe(kind, len(train))
    random.seed(seed)
    network = recipe.make(len(vocabulary))
    limit = choose_epochs(recipe, len(train)) if epochs is None and minutes is None else epochs
    output.say(f"Network: {recipe.describe()}; {count(count_numbers(network), 'number')}")
    output.say(f"Hides 15 % of the {kind} in rows of {recipe.context}, others in each step")

    def tell(share: float, steps: int, bits: float) -> None:
        output.say(f"  {100 * share:3.0f} %  {steps:,} steps  validation {bits:.3f} bits")

    with show_share("training") as show:
        fitted = fit_masked(network, recipe, train, validation, limit, minutes, seed, tell, show)
    read = fitted.steps * recipe.batch_size * min(recipe.context, len(train)) / len(train)
    output.say(f"Read the text {read:.2f} times in {fitted.seconds:.0f} s")

    scores: Scores = {"network": measure_masked(network, test)}
    hidden, by_counts = measure_counts(train, test, len(vocabulary), recipe.context)
    scores.update(by_counts)
    output.say()
    places = count(hidden, f"hidden {noun}")
    output.say(f"Test part ({count(len(test), noun)}, used only now), at {places}:")
    show_scores(scores, output)
    if scores["network"]["bits"] >= scores["neighbours"]["bits"]:
        output.warn("counting neighbours does as well: give it more text or more time")
    elif scores["network"]["bits"] >= scores["frequencies"]["bits"]:
        output.warn(f"counting {kind} does as well: give it more text or more time")
    report = {
        "source": data,
        "files": list(corpus.files),
        "tokens": kind,
        "parts": {"train": len(train), "validation": len(validation), "test": len(test)},
        "hidden": hidden,
        "seed": seed,
        **_describe_fit(recipe, fitted),
        "epochs": round(read, 3),
        "test": scores,
        "seconds": round(time.monotonic() - started, 3),
    }
    MaskedModel(network, vocabulary, report).save(out)
    about = {"model": out, "task": "masked", "vocabulary": len(vocabulary.symbols)}
    following = "train texts.csv --task text --target COLUMN --out model --encoder " + quote(out)
    end_training(output, out, started, following, about | report, fitted.is_interrupted)


def measure_counts(train: Any, test: Any, vocabulary: int, context: int) -> tuple[int, Scores]:
    """How many tokens of the test part are hidden, and what counting makes of them."""
    masked = cut_and_mask(test, vocabulary, context)
    width = masked.tokens.shape[1]
    chosen = masked.weights > 0
    places = (np.arange(len(masked.tokens))[:, None] * width + masked.places)[chosen]
    found = {}
    for name, sides in (("neighbours", True), ("frequencies", False)):
        bits, accuracy = Neighbours(train, vocabulary, sides).measure(test, places)
        found[name] = {"bits": bits, "accuracy": accuracy}
    return len(places), found


def show_scores(scores: Scores, output: Output) -> None:
    """Bits and accuracy of the network and of what only counts."""
    words = {"neighbours": "the two beside it, by counting", "frequencies": "frequencies alone"}
    rows = [["", "bits", "right"]]
    for name, found in scores.items():
        right = f"{100 * found['accuracy']:.1f} %"
        rows.append([words.get(name, name), f"{found['bits']:.3f}", right])
    output.show_table(rows)


def _make_vocabulary(kind: str, corpus: Corpus) -> Symbols:
    if kind == "characters":
        return Characters.of(corpus.train)
    return Words.of(corpus.train, most=MOST_WORDS, at_least=2)


def _show_text(
    data: str, corpus: Corpus, vocabulary: Symbols, parts: tuple[Any, ...], output: Output
) -> None:
    kind = vocabulary.kind
    files = "" if len(corpus.files) == 1 else f" in {count(len(corpus.files), 'file')}"
    tokens = sum(map(len, parts))
    output.say(
        f"{data}: {tokens:,} {kind}{files}, {count(len(vocabulary.symbols), 'different one')} known"
    )
    if len(corpus.files) > 1:
        output.say(f"  {shorten_list(corpus.files, 10)}")
    train, validation, test = map(len, parts)
    output.say(
        f"{kind.capitalize()}: {train:,} to train on, {validation:,} to stop on, {test:,} to test "
        f"with (the end of {'each' if files else 'the'} text)"
    )
    unknown = sum(int((numbers == vocabulary.unknown).sum()) for numbers in parts)
    if unknown:
        output.say(f"  {100 * unknown / tokens:.1f} % are unknown, and never hidden")


def _describe_fit(recipe: MaskedRecipe, fitted: Fit) -> dict[str, Any]:
    return {
        "recipe": recipe.to_json(),
        "steps": fitted.steps,
        "training_seconds": round(fitted.seconds, 3),
        "validation_bits": fitted.validation_bits,
    }

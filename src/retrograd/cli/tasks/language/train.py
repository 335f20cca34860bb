"""`retrograd train --task language`: from a text to a tested language model."""

from __future__ import annotations

import time
from typing import Any

from ....data.corpus import Corpus, measure_entropy, read_corpus
from ....data.text import Characters
from ....errors import ArgumentError
from ....ops import random
from ...progress import show_share
from ...run import Output, count, quote, shorten_list
from ..ending import end_training
from ..learning import count_numbers
from ..rounds import Fit
from ..task import TrainRequest
from .fit import choose_epochs, choose_language_recipe, fit_language
from .model import LanguageModel, measure_bits

NETWORKS = ("gpt", "lstm")


def train_language(request: TrainRequest, output: Output) -> None:
    """Read, train, measure, save and report."""
    data, out, seed, epochs = request.data, request.out, request.seed, request.epochs
    network = request.options.get("--network", NETWORKS[0])
    minutes = request.options.get("--minutes")
    if network not in NETWORKS:
        raise ArgumentError(
            f"--network is {network!r}; for a language model it is one of {', '.join(NETWORKS)}.",
        )
    started = time.monotonic()
    corpus = read_corpus(data)
    vocabulary = Characters.of(corpus.train)
    train, validation, test = (
        vocabulary.encode(part) for part in (corpus.train, corpus.validation, corpus.test)
    )
    _show_text(data, corpus, vocabulary, output)
    recipe = choose_language_recipe(network, len(train))
    random.seed(seed)
    model = recipe.make(len(vocabulary))
    limit = choose_epochs(recipe, len(train)) if epochs is None and minutes is None else epochs
    output.say(f"Network: {recipe.describe()}; {count(count_numbers(model), 'number')}")
    output.say(f"Trains {_describe_end(limit, minutes)} on rows of {recipe.steps} characters")

    def tell(share: float, steps: int, bits: float) -> None:
        output.say(f"  {100 * share:3.0f} %  {steps:,} steps  validation {bits:.3f} bits")

    with show_share("training") as show:
        fitted = fit_language(model, recipe, train, validation, limit, minutes, seed, tell, show)
    read = fitted.steps * recipe.batch_size * recipe.steps / len(train)
    output.say(f"Read the text {read:.2f} times in {fitted.seconds:.0f} s")

    classes = len(vocabulary)
    scores = {
        "network": measure_bits(model, test),
        "bigram": measure_entropy(train, test, classes, 1),
        "unigram": measure_entropy(train, test, classes, 0),
    }
    output.say()
    output.say(f"Test part ({count(len(test), 'character')}, used only now), bits per character:")
    show_bits(scores, output)
    if scores["network"] >= scores["bigram"]:
        output.warn("counting pairs of characters does as well: give it more text or more time")
    elif scores["network"] >= scores["unigram"]:
        output.warn("counting characters does as well: give it more text or more time")
    sizes = {"train": len(train), "validation": len(validation), "test": len(test)}
    report = _make_report(data, corpus, recipe.to_json(), fitted, scores, sizes, seed, read)
    report["seconds"] = round(time.monotonic() - started, 3)
    language = LanguageModel(model, vocabulary, report)
    language.save(out)
    about = {"model": out, "task": "language", "characters": classes - 4}
    following = f'generate {quote(out)} --prompt "It is" --length 400'
    end_training(output, out, started, following, about | report, fitted.is_interrupted)


def show_bits(scores: dict[str, float], output: Output) -> None:
    """The bits per character of the network and of what only counts."""
    words = {"bigram": "the character before it", "unigram": "frequencies alone"}
    output.show_table([[words.get(k, k), f"{value:.3f}"] for k, value in scores.items()])


def _show_text(data: str, corpus: Corpus, vocabulary: Characters, output: Output) -> None:
    files = "" if len(corpus.files) == 1 else f" in {count(len(corpus.files), 'file')}"
    output.say(
        f"{data}: {count(len(corpus), 'character')}{files}, "
        f"{count(len(vocabulary.symbols), 'different one')}"
    )
    if len(corpus.files) > 1:
        output.say(f"  {shorten_list(corpus.files, 10)}")
    output.say(
        f"Characters: {len(corpus.train):,} to train on, {len(corpus.validation):,} to stop on, "
        f"{len(corpus.test):,} to test with (the end of {'each' if files else 'the'} text)"
    )
    strange = sorted({*corpus.validation, *corpus.test} - {*vocabulary.symbols})
    if strange:
        shown = shorten_list([repr(symbol) for symbol in strange])
        output.warn(f"not in the part to train on, and counted as unknown: {shown}")


def _describe_end(epochs: float | None, minutes: float | None) -> str:
    ends = []
    if epochs is not None:
        ends.append(f"until the text was read {epochs:.3g} times")
    if minutes is not None:
        ends.append(f"for at most {minutes:g} minutes")
    return ", ".join(ends)


def _make_report(
    data: str,
    corpus: Corpus,
    recipe: dict[str, Any],
    fitted: Fit,
    scores: dict[str, float],
    sizes: dict[str, int],
    seed: int,
    read: float,
) -> dict[str, Any]:
    return {
        "source": data,
        "files": list(corpus.files),
        "parts": sizes,
        "recipe": recipe,
        "seed": seed,
        "steps": fitted.steps,
        "epochs": round(read, 3),
        "training_seconds": round(fitted.seconds, 3),
        "validation_bits": fitted.validation_bits,
        "test_bits": scores,
    }

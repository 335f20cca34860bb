"""`retrograd train --task translation`: from pairs of texts to a tested translator."""

from __future__ import annotations

import time
from typing import Any

from ....data.nearest import UNITS, NearestTranslation
from ....data.pairs import Pairs, PairSplit, cut_pairs, read_pairs, split_pairs
from ....data.table import read_table
from ....data.text import Subwords
from ....errors import DataError
from ....metrics import chrf
from ....ops import random
from ...progress import show_share
from ...run import Output, count, quote
from ..ending import end_training
from ..learning import count_numbers
from ..task import TrainRequest
from .batches import count_steps, make_buckets
from .fit import TranslationFit, fit_translator
from .model import TranslationModel
from .recipe import TranslationRecipe, choose_epochs, choose_translation_recipe

EXAMPLES = 8


def train_translator(request: TrainRequest, output: Output) -> None:
    """Read, train, measure, save and report."""
    data, out, seed, epochs = request.data, request.out, request.seed, request.epochs
    source, target = request.options["--source"], request.options["--target"]
    minutes, test = request.options.get("--minutes"), request.options.get("--test")
    started = time.monotonic()
    split = _read(data, source, target, test, seed, output)
    learnt = cut_pairs(split.train, (split.validation, split.test))
    recipe = choose_translation_recipe(sum(len(a) + len(b) for a, b in learnt))
    vocabulary = Subwords.of(*learnt.sources, *learnt.targets, size=recipe.subwords)
    buckets, left = make_buckets(learnt, vocabulary, recipe.longest)
    if not buckets:
        raise DataError(
            f"All texts of {data} have more than {recipe.longest} subwords.",
            fix="Give shorter ones: sentences, not pages.",
        )
    _show_pairs(split, learnt, left, recipe, output)
    random.seed(seed)
    network = recipe.make(len(vocabulary))
    model = TranslationModel(
        network, vocabulary, source, target, recipe.longest, recipe.beams, report={}
    )
    limit: float | None = epochs
    if epochs is None and minutes is None:
        limit = choose_epochs(count_steps(buckets, recipe.batch_tokens))
    output.say(f"Network: {recipe.describe()}; {count(count_numbers(network), 'number')}")
    output.say(f"Vocabulary: {count(len(vocabulary), 'subword')} of both languages")

    def tell(share: float, steps: int, score: float) -> None:
        output.say(f"  {100 * share:3.0f} %  {steps:,} steps  validation chrF {score:.1f}")

    with show_share("training") as show:
        fitted = fit_translator(
            model, buckets, split.validation, recipe, limit, minutes, seed, tell, show
        )
    output.say(f"Read the pairs {fitted.epochs:.2f} times in {fitted.seconds:.0f} s")
    model.save(out)  # what was learned is kept, whatever happens to the report
    with show_share("translating the test part") as show:
        translations = model.translate(split.test.sources, tell=lambda share: show(share, ""))
    nearest, unit = find_nearest(split)
    scores = {
        "network": chrf(translations, split.test.targets),
        "nearest": chrf(nearest, split.test.targets),
    }
    _show_test(split.test, translations, scores, unit, output)
    report = _make_report(data, split, len(learnt) - left, recipe, fitted, scores, unit, seed)
    report["examples"] = [
        {"source": a, "target": b, "translation": found}
        for (a, b), found in list(zip(split.test, translations))[:EXAMPLES]
    ]
    report["seconds"] = round(time.monotonic() - started, 3)
    model = TranslationModel(
        network, vocabulary, source, target, recipe.longest, recipe.beams, report
    )
    model.save(out)
    about = {"model": out, "task": "translation", "source_column": source, "target_column": target}
    following = f"predict {quote(out)} new.txt"
    end_training(output, out, started, following, about | report, fitted.is_interrupted)


def find_nearest(split: PairSplit) -> tuple[list[str], str]:
    """The translations of the training texts nearest to those of the test part.

    What counts as near, words or runs of characters, is chosen on the validation part.
    """
    found = {unit: NearestTranslation(*_sides(split.train), unit) for unit in UNITS}
    unit = max(
        UNITS,
        key=lambda unit: chrf(
            found[unit].translate(split.validation.sources), split.validation.targets
        ),
    )
    return found[unit].translate(split.test.sources), unit


def _sides(pairs: Pairs) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return pairs.sources, pairs.targets


def _read(
    data: str, source: str, target: str, test: str | None, seed: int, output: Output
) -> PairSplit:
    found = []
    for path in (data, test):
        if path is None:
            continue
        table = read_table(path)
        pairs, notes = read_pairs(table, source, target)
        output.say(f"{path}: {count(len(pairs), 'pair')} of {source!r} and {target!r}")
        output.warn(*table.notes, *notes)
        found.append(pairs)
    split = split_pairs(found[0], seed, found[1] if test is not None else None)
    output.warn(*split.notes)
    return split


def _show_pairs(
    split: PairSplit, learnt: Pairs, left: int, recipe: TranslationRecipe, output: Output
) -> None:
    output.say(
        f"Pairs: {len(split.train):,} to train on, {len(split.validation):,} to choose on, "
        f"{len(split.test):,} to test with; no text is in two parts"
    )
    if len(learnt) != len(split.train):
        output.say(f"Cut at the ends of sentences and clauses: {count(len(learnt), 'pair')}")
    if left:
        output.warn(
            f"{count(left, 'pair')} with more than {recipe.longest} subwords on a side left out"
        )


def _show_test(
    test: Pairs,
    translations: list[str],
    scores: dict[str, float],
    unit: str,
    output: Output,
) -> None:
    output.say()
    output.say(f"Test part ({count(len(test), 'pair')}, used only now), chrF from 0 to 100:")
    show_scores(scores, unit, output)
    if scores["network"] <= scores["nearest"]:
        output.warn(
            "the translation of the nearest known text is as good: give it more pairs or more time"
        )
    output.say()
    for (text, reference), found in list(zip(test, translations))[:EXAMPLES]:
        output.say(f"  {text}")
        output.say(f"    network:   {found}")
        output.say(f"    reference: {reference}")


def show_scores(scores: dict[str, float], unit: str, output: Output) -> None:
    """chrF of the network and of what only looks up."""
    words = {"nearest": f"translation of the nearest training text, by {unit}"}
    output.show_table([[words.get(k, k), f"{value:.1f}"] for k, value in scores.items()])


def _make_report(
    data: str,
    split: PairSplit,
    learnt: int,
    recipe: TranslationRecipe,
    fitted: TranslationFit,
    scores: dict[str, float],
    unit: str,
    seed: int,
) -> dict[str, Any]:
    return {
        "source": data,
        "parts": {
            "train": len(split.train),
            "validation": len(split.validation),
            "test": len(split.test),
        },
        "pieces": learnt,
        "recipe": recipe.to_json(),
        "seed": seed,
        "steps": fitted.steps,
        "epochs": round(fitted.epochs, 3),
        "training_seconds": round(fitted.seconds, 3),
        "validation_chrf": fitted.validation,
        "test_chrf": scores,
        "nearest_by": unit,
    }

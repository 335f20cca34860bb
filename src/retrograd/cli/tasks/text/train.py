"""`retrograd train --task text`: from a table with texts to a tested classifier."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....data.baseline import fit_majority
from ....data.ngrams import NGrams, weigh_by_rarity
from ....data.sparse_rows import fit_sparse_logistic, weigh_rows
from ....data.table import read_table
from ....data.table_split import RowSplit, split_rows
from ....data.target_encoders import ClassTarget, fit_target
from ....data.text import Vocabulary
from ....data.texts import LabelledTexts, read_labelled_texts
from ....errors import ArgumentError
from ....ops import random
from ...progress import show_share
from ...run import Output, count, quote, shorten_list
from ...threads import limit_threads
from ..ending import end_training
from ..masked.model import MaskedModel, load_masked_model
from ..networks import find_probabilities
from ..scores import Scores, describe_classes, lay_out_scores, report_classes, score_classes
from ..table.recipe import find_class_weights
from ..table.stages import keep_classes
from ..task import TrainRequest
from .fit import TextFit, find_logits, fit_texts
from .model import TextModel, encode_texts, tell_cut
from .recipe import (
    ENCODER_DROPOUT,
    MOST_SYMBOLS,
    NETWORKS,
    TextRecipe,
    choose_encoder_recipe,
    choose_text_recipe,
)

NumpyArray = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """A network trained on some of the texts, and what belongs to it."""

    network: Any
    vocabulary: Vocabulary
    target: ClassTarget
    fitted: TextFit


def train_text(request: TrainRequest, output: Output) -> None:
    """Read, split, train, measure, learn all, save and report."""
    started = time.monotonic()
    options, out, seed = request.options, request.out, request.seed
    network = options.get("--network", NETWORKS[0])
    if network not in NETWORKS:
        raise ArgumentError(
            f"--network is {network!r}; for texts it is one of {', '.join(NETWORKS)}."
        )
    start = None
    if "--encoder" in options:
        if "--network" in options:
            raise ArgumentError(
                "--network and --encoder both say what the network is.", fix="Leave out one."
            )
        start = load_masked_model(options["--encoder"])
    if request.threads is None:
        limit_threads(1)  # the matrices are small: threads would cost more than they bring
    table = read_table(request.data)
    data = read_labelled_texts(table, options["--target"], options.get("--text"))
    notes = [*table.notes, *data.notes]
    split = keep_classes(data.table, data.plan, split_rows(data.table, data.plan, seed))
    notes += split.notes
    _show_data(request.data, table.names, data, split, notes, output)

    texts = data.texts
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    count_of_texts = len(split.train)
    if start is None:
        recipe = choose_text_recipe(network, count_of_texts, request.epochs)
    else:
        recipe = choose_encoder_recipe(start.network.encoder, count_of_texts, request.epochs)
    learned = learn(data, texts, split.train, split.validation, recipe, seed, start, None, output)
    if learned.fitted.is_interrupted:
        output.say(f"Interrupted after {count(learned.fitted.epochs, 'epoch')}")
    elif recipe.keeps_last:
        output.say(f"Trained for {count(learned.fitted.epochs, 'epoch')}")
    else:
        output.say(f"Best on the validation part after {count(learned.fitted.epochs, 'epoch')}")

    labels = learned.target.encode(data.table)
    scores, chosen = measure(learned, recipe, texts, labels, split)
    classes = report_classes(labels[split.test], chosen, learned.target.classes)
    output.say()
    output.say(f"Test part ({count(len(split.test), 'row')}, used only now):")
    output.show_table(lay_out_scores(scores))
    for line in describe_classes(classes):
        output.say(f"  {line}")
    _judge(scores, output)
    report: dict[str, Any] = {
        "source": data.table.source,
        "rows": {name: len(part) for name, part in parts.items()},
        "network": recipe.describe(len(learned.vocabulary), len(learned.target.classes)),
        "recipe": recipe.to_json(),
        "encoder": options.get("--encoder"),
        "seed": seed,
        "epochs": learned.fitted.epochs,
        "validation_loss": learned.fitted.validation_loss,
        "test": {name.replace(" ", "_"): values for name, values in scores.items()},
        "test_classes": classes,
        "refit": False,
        "warnings": notes,
    }

    def save(found: Learned) -> None:
        report["seconds"] = round(time.monotonic() - started, 3)
        model = TextModel(
            found.network, found.vocabulary, found.target, data.column, recipe.longest, report
        )
        model.save(out)

    save(learned)
    interrupted = learned.fitted.is_interrupted
    if recipe.refit and not interrupted:
        everything = np.sort(np.concatenate([*parts.values()]))
        epochs = learned.fitted.epochs
        final = learn(data, texts, everything, None, recipe, seed, start, epochs, output)
        interrupted = final.fitted.is_interrupted
        if not interrupted:
            report["refit"] = True
            save(final)
            output.say(f"Then learned all {count(len(everything), 'row')} in as many epochs.")
    about = {"model": out, "task": "text", "target": data.target, "text": data.column}
    following = f"predict {quote(out)} new.csv --out predictions.csv"
    end_training(output, out, started, following, about | report, interrupted)


def learn(
    data: LabelledTexts,
    texts: Sequence[str],
    train: NumpyArray,
    validation: NumpyArray | None,
    recipe: TextRecipe,
    seed: int,
    start: MaskedModel | None,
    epochs: int | None,
    output: Output,
) -> Learned:
    """Vocabulary, classes and network from the rows of `train` alone.

    Args:
        data, texts: all rows.
        train: the rows to learn.
        validation: the rows to stop on; None to train all epochs.
        recipe: how.
        seed: of everything random.
        start: an encoder whose tokens and weights it begins with, or None.
        epochs: stop after so many.
        output: where notes go.
    """
    target = fit_target(data.table.rows(train), data.plan.target)
    assert isinstance(target, ClassTarget)
    random.seed(seed)
    vocabulary: Vocabulary
    if start is None:
        vocabulary, encoder = recipe.make_vocabulary([texts[row] for row in train]), None
    else:
        vocabulary, encoder = start.vocabulary, start.copy_encoder(ENCODER_DROPOUT)
    network = recipe.make_network(len(vocabulary), len(target.classes), encoder)
    labels = target.encode(data.table.rows(train))
    weights = find_class_weights(labels, len(target.classes))
    held_out = None
    if validation is not None:
        output.say(f"Network: {recipe.describe(len(vocabulary), len(target.classes))}")
        if weights is not None:
            output.warn("the classes differ much in size: rows of rare ones weigh more in training")
        tell_cut(vocabulary, texts, recipe.longest, output)
        held_out = (
            encode_texts(vocabulary, [texts[row] for row in validation], recipe.longest),
            target.encode(data.table.rows(validation)),
        )
    rows = encode_texts(vocabulary, [texts[row] for row in train], recipe.longest)
    with show_share("training" if validation is not None else "all rows") as show:
        fitted = fit_texts(network, recipe, rows, labels, seed, weights, held_out, epochs, show)
    return Learned(network, vocabulary, target, fitted)


def measure(
    learned: Learned,
    recipe: TextRecipe,
    texts: Sequence[str],
    labels: NumpyArray,
    split: RowSplit,
) -> tuple[dict[str, Scores], NumpyArray]:
    """Score the test part, which nothing has seen so far, beside what must be beaten.

    Returns:
        (scores by predictor, the classes that the network chose).
    """
    classes = len(learned.target.classes)
    test, goal = [texts[row] for row in split.test], labels[split.test]
    rows = encode_texts(learned.vocabulary, test, recipe.longest)
    found = find_probabilities(find_logits(learned.network, rows))
    train, known = [texts[row] for row in split.train], labels[split.train]
    linear = predict_by_rarity(train, known, classes, test)
    scores = {
        "network": score_classes(found, goal),
        "linear model on tf-idf": score_classes(linear, goal),
        "most frequent class": score_classes(
            fit_majority(known, classes).predict_probabilities(np.zeros((len(goal), 0))), goal
        ),
    }
    return scores, found.argmax(axis=1)


def predict_by_rarity(
    train: Sequence[str], labels: NumpyArray, classes: int, test: Sequence[str]
) -> NumpyArray:
    """What a linear model on the tf-idf of words and pairs of words says, (test, classes)."""
    vocabulary = NGrams.of(*train, most=MOST_SYMBOLS, at_least=2 if len(train) >= 100 else 1)
    rows = [vocabulary.encode(text) for text in train]
    rarity = weigh_by_rarity(rows, len(vocabulary))
    model = fit_sparse_logistic(weigh_rows(rows, rarity), labels, classes)
    others = weigh_rows([vocabulary.encode(text) for text in test], rarity)
    return find_probabilities(others.times(model.weights) + model.bias)


def _show_data(
    path: str,
    names: Sequence[str],
    data: LabelledTexts,
    split: RowSplit,
    notes: Sequence[str],
    output: Output,
) -> None:
    output.say(f"{path}: {count(len(data.table), 'row')}, {count(len(names), 'column')}")
    output.say(f"Texts: column {data.column!r} ({data.reason})")
    output.say(f"Target: column {data.target!r}")
    others = [repr(name) for name in names if name not in (data.column, data.target)]
    if others:
        output.say(f"Not used: {shorten_list(others, 10)}")
    output.warn(*notes)
    output.say()
    output.say(
        f"Rows: {len(split.train):,} to train on, {len(split.validation):,} to stop on, "
        f"{len(split.test):,} to test with"
    )


def _judge(scores: dict[str, Scores], output: Output) -> None:
    """Say it where the network is not worth its trouble."""
    network, linear, constant = (values["balanced_accuracy"] for values in scores.values())
    if network <= constant:
        output.warn("the network is no better than a constant: the texts may not tell the class")
    elif linear - network > 0.02:
        output.warn("the linear model is better on this test part")

"""`retrograd train --task text --encoder`: a classifier that starts from a pretrained encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrograd.cli.main import main
from retrograd.cli.tasks.masked import fit
from retrograd.cli.tasks.masked.model import load_masked_model
from retrograd.cli.tasks.text import recipe
from retrograd.cli.tasks.text.model import load_text_model
from tests.cli.helpers import Runner, write_table

TOPICS = {"sea": "ship sail wave salt shore deck".split(), "farm": "cow hay barn plough".split()}
FILLING = "the a day we went there and saw it all".split()


def make_texts(rows: int, seed: int) -> tuple[list[str], list[str]]:
    random = np.random.default_rng(seed)
    labels = [[*TOPICS][place] for place in random.integers(0, 2, rows)]
    texts = []
    for label in labels:
        words = [*random.choice(FILLING, 4), *random.choice(TOPICS[label], 3)]
        texts.append(" ".join(map(str, random.permutation(words))))
    return texts, labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("encoder")
    texts, _ = make_texts(200, 0)
    (made / "text.txt").write_text(". ".join(texts))
    texts, labels = make_texts(80, 1)
    write_table(made / "table.csv", {"text": texts, "topic": labels})
    with pytest.MonkeyPatch.context() as patch:
        sizes = {"features": 16, "heads": 2, "layers": 1, "context": 20}
        patch.setattr(
            "retrograd.cli.tasks.masked.train.choose_masked_recipe",
            lambda kind, tokens: fit.MaskedRecipe(sizes, 8, 1e-2),
        )
        given = ("--task", "masked", "--tokens", "words", "--epochs", "5")
        assert main(["train", str(made / "text.txt"), *given, "--out", str(made / "encoder")]) == 0
    return made


GIVEN = ("--task", "text", "--target", "topic")


def test_a_classifier_starts_from_the_encoder(folder: Path, run: Runner, tmp_path: Path) -> None:
    encoder, table = folder / "encoder", folder / "table.csv"
    before = load_masked_model(str(encoder)).network.encoder.named_state()
    weights: list[Any] = []
    for name in "ab":
        given = (*GIVEN, "--encoder", encoder, "--out", tmp_path / name, "--json")
        outcome = run("train", table, *given)
        assert outcome.code == 0, outcome.err
        assert outcome.json["encoder"] == str(encoder) and "encoder" in outcome.json["network"]
        trained = load_text_model(str(tmp_path / name))
        weights.append(np.asarray(trained.network.head.weight))
    assert np.array_equal(weights[0], weights[1])
    assert trained.vocabulary.describe() == load_masked_model(str(encoder)).vocabulary.describe()
    after = trained.network.encoder.named_state()
    path = "embedding.weight"
    one, other = (np.asarray(state[path]).ravel() for state in (before, after))
    assert not np.array_equal(one, other)
    assert np.corrcoef(one, other)[0, 1] > 0.8  # it went on from these weights
    assert trained.longest == 16  # a multiple of 8 that fits into the context of 20

    measured = run("evaluate", tmp_path / "a", table, "--json")
    assert measured.code == 0 and measured.json["accuracy"] > 0.8
    assert run("info", tmp_path / "a").code == 0
    given = ("--out", tmp_path / "p.csv")
    assert run("predict", tmp_path / "a", table, *given).code == 0


def test_long_texts_are_cut(folder: Path, run: Runner, tmp_path: Path) -> None:
    texts, labels = make_texts(40, 2)
    table = write_table(tmp_path / "t.csv", {"text": [t * 50 for t in texts], "topic": labels})
    given = (*GIVEN, "--encoder", folder / "encoder", "--epochs", 1, "--out", tmp_path / "m")
    outcome = run("train", table, *given)
    assert outcome.code == 0 and "cut off after 16 tokens" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--encoder", "nothing"], "nothing"),
        (["--encoder", "{encoder}", "--network", "gru"], "both say"),
        (["--encoder", "{other}"], "no encoder"),
    ],
)
def test_wrong_encoders_are_told(
    folder: Path, run: Runner, tmp_path: Path, arguments: list[str], words: str
) -> None:
    import retrograd as rg

    rg.save_model(rg.nn.Linear(2, 3), tmp_path / "other")
    filled = [a.format(encoder=folder / "encoder", other=tmp_path / "other") for a in arguments]
    outcome = run("train", folder / "table.csv", *GIVEN, *filled, "--out", tmp_path / "m")
    assert outcome.code == 1 and words in outcome.err, outcome.err
    assert not (tmp_path / "m").exists()


def test_an_encoder_means_nothing_for_tables(folder: Path, run: Runner, tmp_path: Path) -> None:
    given = ("--target", "topic", "--encoder", folder / "encoder", "--out", tmp_path / "m")
    outcome = run("train", folder / "table.csv", *given)
    assert outcome.code == 1 and "--encoder has no meaning" in outcome.err


def test_the_recipe_follows_the_number_of_texts() -> None:
    encoder = load_encoder()
    few, many = (recipe.choose_encoder_recipe(encoder, n) for n in (30, 30_000))
    assert few.batch_size < many.batch_size and few.epochs > many.epochs
    assert few.refit and not many.refit and few.longest == 8
    assert recipe.choose_encoder_recipe(encoder, 30, 2).epochs == 2


def load_encoder() -> Any:
    from retrograd import models

    return models.TextEncoder(10, features=8, heads=2, layers=1, context=9)

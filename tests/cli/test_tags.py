"""`retrograd train --task tags`, and what is done with a tagger."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.cli.main import main
from retrograd.cli.tasks.tags.model import load_tag_model
from retrograd.data.tagged import read_tagged
from tests.cli.helpers import Runner


def make_words(sentences: int, seed: int, form: str = "{word}\t{tag}") -> str:
    """A word is a noun behind `the` and a verb behind `to`; what ends in -ly is an adverb."""
    random = np.random.default_rng(seed)
    lines = []
    for _ in range(sentences):
        for _ in range(random.integers(1, 5)):
            known = random.random() < 0.6
            word = f"w{random.integers(0, 9)}" if known else f"n{random.integers(0, 10**6)}"
            kind = ("the", "DET", "NOUN") if random.random() < 0.5 else ("to", "PART", "VERB")
            pairs = [(kind[0], kind[1]), (word, kind[2])]
            if random.random() < 0.3:
                pairs.append((f"q{random.integers(0, 10**6)}ly", "ADV"))
            lines += [form.format(word=w, tag=t) for w, t in pairs]
        lines.append("")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `words.conll`, `new.conll` and `model`."""
    folder = tmp_path_factory.mktemp("tags")
    (folder / "words.conll").write_text(make_words(160, 0))
    (folder / "new.conll").write_text(make_words(40, 1))
    arguments = ["--task", "tags", "--out", str(folder / "model"), "--epochs", "25"]
    assert main(["train", str(folder / "words.conll"), *arguments]) == 0
    return folder


def test_learns_from_neighbours_and_letters(run: Runner, tagger: Path) -> None:
    report = load_tag_model(str(tagger / "model")).report
    network, baseline = report["test"]["network"], report["test"]["baseline"]
    assert network["accuracy"] > 0.97 and network["accuracy_new_words"] > 0.9
    assert baseline["accuracy"] < 0.8 and 0.1 < network["new_words"] < 0.4
    outcome = run("evaluate", tagger / "model", tagger / "new.conll", "--json")
    assert outcome.code == 0 and outcome.json["network"]["accuracy"] > 0.97
    assert outcome.json["baseline"]["accuracy"] < 0.8
    kinds = outcome.json["kinds"]
    assert set(kinds) == {"ADV", "DET", "NOUN", "PART", "VERB"}
    assert kinds["VERB"]["f1"] > 0.95 > 0.8 > kinds["VERB"]["baseline_f1"]
    assert kinds["DET"]["baseline_f1"] == 1.0 and kinds["ADV"]["number"] > 10
    assert "most frequent tag of each word" in outcome.err
    told = run("info", tagger / "model")
    assert told.code == 0 and "Finds 5 tags: ADV, DET, NOUN, PART, VERB" in told.out


def test_predict_adds_a_column(
    run: Runner, tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "tagged.conll"
    outcome = run("predict", tagger / "model", tagger / "new.conll", "--out", out)
    assert outcome.code == 0 and "words with their tags" in outcome.out
    (text,) = read_tagged(out)
    pairs = zip(sum(text.read_column(1), []), sum(text.read_column(2), []), strict=True)
    assert np.mean([one == other for one, other in pairs]) > 0.97
    assert out.read_text().count("\n\n") == 40  # empty lines stay
    # Words alone, from stdin to stdout; a sequence far longer than all that were learned.
    words = "the\nw1\nto\nw1\n" * 200
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(words.encode())))
    outcome = run("predict", tagger / "model", "-")
    assert outcome.code == 0 and outcome.err == ""
    found = [line.split("\t")[1] for line in outcome.out.split("\n")[:-1]]
    assert np.mean([f == w for f, w in zip(found, ["DET", "NOUN", "PART", "VERB"] * 200)]) > 0.97


def test_spans_columns_by_number_and_name(run: Runner, tmp_path: Path) -> None:
    text = make_words(80, 3, "{tag}\t{word}\tx")
    for tag, mark in {"NOUN": "B-N", "DET": "O", "PART": "O", "VERB": "O", "ADV": "I-N"}.items():
        text = text.replace(f"{tag}\t", f"{mark}\t")
    names = "# global.columns = NER FORM OTHER\n"
    (tmp_path / "words.conll").write_text(names + text)
    asked = ("--task", "tags", "--target", "ner", "--epochs", 10, "--json")
    weights = []
    for name, seed in (("a", 1), ("b", 1)):
        given = (*asked, "--seed", seed, "--out", tmp_path / name)
        outcome = run("train", tmp_path / "words.conll", *given)
        assert outcome.code == 0, outcome.err
        assert outcome.json["interrupted"] is False and outcome.json["tags"] == ["B-N", "I-N", "O"]
        state = load_tag_model(str(tmp_path / name)).network.named_state()
        weights.append(np.concatenate([np.asarray(a).ravel() for a in state.values()]))
    np.testing.assert_array_equal(*weights)
    test, kinds = outcome.json["test"], outcome.json["kinds"]
    assert test["network"]["f1"] > test["baseline"]["f1"] + 0.2 and set(kinds) == {"N"}
    assert "validation F1" in outcome.err
    # Without names the columns are found by their numbers.
    (tmp_path / "plain.conll").write_text(text)
    given = ("--target", 1, "--text", 2, "--epochs", 1, "--out", tmp_path / "c", "--task", "tags")
    assert run("train", tmp_path / "plain.conll", *given).code == 0
    assert load_tag_model(str(tmp_path / "c")).columns.words == "2"


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        ("a N\nb V\n", (), "at least 10 are needed"),
        ("a\n\nb\n\nc\n", (), "Words and tags are both column 1"),
        ("".join(f"w{n} N\n\n" for n in range(30)), (), "have the tag 'N'"),
        ("a N\n\nb V x\n\nc N\n", (), "Line 3 of"),
        ("a N\n\nb V\n", ("--target", "pos"), "has no column 'pos'"),
        ("a N\n\nb V\n", ("--text", "3"), "has no column '3'"),
        ("a N\n\nb V\n", ("--horizon", "3"), "--horizon has no meaning for tags"),
        ("".join(f"w{n} t{n}\n\n" for n in range(2000)), (), "different tags"),
        ("", (), "holds no text"),
    ],
)
def test_what_cannot_be_learned(
    run: Runner, tmp_path: Path, content: str, options: tuple[str, ...], told: str
) -> None:
    (tmp_path / "words.conll").write_text(content)
    out = tmp_path / "model"
    outcome = run("train", tmp_path / "words.conll", "--task", "tags", "--out", out, *options)
    assert outcome.code == 1 and told in outcome.err and "Traceback" not in outcome.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("command", "content", "told"),
    [
        ("predict", "a b c\n", "has 3 columns; the model learned the words in column 1 of 2"),
        (
            "evaluate",
            "1\tThe\t_\tDET" + "\t_" * 6 + "\n",
            "has 10 columns; the tags were in column 2",
        ),
        ("evaluate", "a\nb\n", "has 1 column; the tags were in column 2 of 2"),
        ("predict", "", "holds no text"),
    ],
)
def test_files_of_another_kind(
    run: Runner, tagger: Path, tmp_path: Path, command: str, content: str, told: str
) -> None:
    (tmp_path / "new.conll").write_text(content)
    outcome = run(command, tagger / "model", tmp_path / "new.conll")
    assert outcome.code == 1 and told in outcome.err


def test_what_predict_refuses_and_what_it_warns_of(
    run: Runner, tagger: Path, tmp_path: Path
) -> None:
    (tmp_path / "line.conll").write_text("two words\n")
    outcome = run("predict", tagger / "model", tmp_path / "line.conll")
    assert outcome.code == 0 and "none of the model's tags" in outcome.err
    for extra, told in (
        (("--probabilities",), "no class probabilities"),
        (("--out", tagger / "new.conll"), "would be lost"),
    ):
        outcome = run("predict", tagger / "model", tagger / "new.conll", *extra)
        assert outcome.code == 1 and told in outcome.err
    outcome = run("predict", tagger / "model", tagger)
    assert outcome.code == 1 and "is a folder" in outcome.err
    (tmp_path / "strange.conll").write_text("the DET\nw1 XX\n")
    outcome = run("evaluate", tagger / "model", tmp_path / "strange.conll")
    assert outcome.code == 0 and "never found: XX" in outcome.out


def change(section: dict[str, Any], what: str) -> None:
    if what == "version":
        section["version"] = 99
    elif what == "tags":
        section["encoder"]["tags"].append("MORE")
    elif what == "columns":
        section["columns"] = {"words": 1}
    else:
        section[what] = None


@pytest.mark.parametrize("what", ["version", "tags", "columns", "encoder", "counted", "report"])
def test_damaged_models(run: Runner, tagger: Path, tmp_path: Path, what: str) -> None:
    import shutil

    shutil.copytree(tagger / "model", tmp_path / "model")
    file = tmp_path / "model" / "model.json"
    content = json.loads(file.read_text())
    sections = content["extra"] if "extra" in content else content
    change(sections["tags"], what)
    file.write_text(json.dumps(content))
    outcome = run("predict", tmp_path / "model", tagger / "new.conll")
    assert outcome.code == 1 and "Traceback" not in outcome.err and "fix" in outcome.err


def test_weights_that_are_no_numbers(run: Runner, tagger: Path, tmp_path: Path) -> None:
    trained = load_tag_model(str(tagger / "model"))
    trained.network.head.bias = rg.array(np.full(5, np.nan, np.float32))
    trained.save(str(tmp_path / "model"))
    outcome = run("predict", tmp_path / "model", tagger / "new.conll")
    assert outcome.code == 1 and "NaN or infinite" in outcome.err


def test_an_interrupt_keeps_the_best(
    run: Runner, tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrograd.cli.tasks.tags import fit

    def stop(share: float, limit: float) -> float:
        if share > limit:
            raise KeyboardInterrupt
        return 1.0

    given = ("--task", "tags", "--epochs", 4, "--out")
    for limit, most in ((0.5, 2), (0.01, 1)):  # the second one in the midst of the first epoch
        monkeypatch.setattr(fit, "find_rate", lambda share, limit=limit: stop(share, limit))
        outcome = run("train", tagger / "words.conll", *given, tmp_path / f"model{most}")
        assert outcome.code == 130 and "the best network so far was kept" in outcome.out
        report = load_tag_model(str(tmp_path / f"model{most}")).report
        assert 1 <= report["epochs"] <= most and 0.0 < report["validation"] <= 1.0
    monkeypatch.setattr(fit, "find_rate", lambda share: stop(1.0, 0.5))
    outcome = run("train", tagger / "words.conll", *given, tmp_path / "none")
    assert outcome.code == 130 and not (tmp_path / "none").exists()

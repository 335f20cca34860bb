"""Which of Jane Austen's novels a passage is from: `make passages`.

An encoder is pretrained on the novels without a tenth of each, which lies in five blocks. A few
labelled passages from the parts that it has read then make it a classifier, and the same is done
with the same network untrained. Both are measured on passages from the blocks that nothing has
seen, beside models without an encoder. `--hide-names` puts one word in the place of all names.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from retrograd.cli.tasks.masked.model import MaskedModel, load_masked_model
from retrograd.models import MaskedLanguageModel, TextEncoder
from retrograd.ops import random

from .application import make_parser, retrograd, run
from .novels import write_novels

BLOCKS, HELD_OUT = 50, (7, 17, 27, 37, 47)
LENGTH = 250  # characters of a passage, at the most
LABELLED, TESTED = 100, 150  # passages of each novel
NAME = "Name"

MID_SENTENCE = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+")
CAPITALISED = re.compile(r"\b[A-Z][a-z]+")


def split_blocks(text: str) -> tuple[list[str], list[str]]:
    """The stretches of a text to learn, and the blocks between them that are held out."""
    edges = [len(text) * number // BLOCKS for number in range(BLOCKS + 1)]
    held_out = [text[edges[number] : edges[number + 1]] for number in HELD_OUT]
    starts = [0, *(edges[number + 1] for number in HELD_OUT)]
    ends = [*(edges[number] for number in HELD_OUT), len(text)]
    return [text[start:end] for start, end in zip(starts, ends)], held_out


def cut_passages(stretches: Sequence[str]) -> list[str]:
    """Passages of whole words that do not overlap; those at the ends of a stretch may be cut."""
    passages = []
    for stretch in stretches:
        words, size = [], 0
        for word in stretch.split()[1:-1]:
            if size + len(word) > LENGTH:
                passages.append(" ".join(words))
                words, size = [], 0
            words.append(word)
            size += len(word) + 1
    return passages


def find_names(texts: Mapping[str, str]) -> set[str]:
    """Words that stand in the midst of sentences with a capital, and hardly ever without."""
    capital: Counter[str] = Counter()
    small: Counter[str] = Counter()
    for text in texts.values():
        capital.update(MID_SENTENCE.findall(text))
        small.update(re.findall(r"\b[a-z]+\b", text))
    return {word for word, number in capital.items() if small[word.lower()] < 0.3 * number}


def hide_names(text: str, names: set[str]) -> str:
    """The text with one word in the place of all names."""
    return CAPITALISED.sub(lambda found: NAME if found[0] in names else found[0], text)


def write_table(path: Path, passages: Sequence[tuple[str, str]]) -> None:
    """A table of novels and passages."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["novel", "passage"])
        writer.writerows(passages)


def write_passages(texts: Path, folder: Path, seed: int, without_names: bool) -> None:
    """Write what is learned without labels (`texts/`), and the tables of labelled passages."""
    # Line ends tell an edition, not a novel.
    novels = {file.stem: " ".join(file.read_text().split()) for file in sorted(texts.glob("*.txt"))}
    if without_names:
        names = find_names(novels)
        novels = {name: hide_names(text, names) for name, text in novels.items()}
    draw = np.random.default_rng(seed)
    labelled, tested = [], []
    (folder / "texts").mkdir(parents=True, exist_ok=True)
    for novel, text in novels.items():
        learned, held_out = split_blocks(text)
        (folder / "texts" / f"{novel}.txt").write_text("\n".join(learned), encoding="utf-8")
        for stretches, most, rows in ((learned, LABELLED, labelled), (held_out, TESTED, tested)):
            passages = cut_passages(stretches)
            chosen = draw.permutation(len(passages))[:most]
            rows += [(novel, passages[place]) for place in chosen]
    for name, rows in (("passages.csv", labelled), ("held-out.csv", tested)):
        write_table(folder / name, [rows[place] for place in draw.permutation(len(rows))])


def write_untrained(encoder: Path, untrained: Path, seed: int) -> None:
    """The same network with its first weights, in the place of those that it has learned."""
    trained = load_masked_model(str(encoder))
    random.seed(seed)
    network = MaskedLanguageModel(TextEncoder(**trained.network.encoder.config()))
    MaskedModel(network, trained.vocabulary, {}).save(str(untrained))


def measure(model: Path, table: Path) -> float:
    """The accuracy of a classifier on a table."""
    command = [sys.executable, "-m", "retrograd", "evaluate", str(model), str(table), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return float(json.loads(done.stdout)["accuracy"])


def main() -> None:
    parser = make_parser("passages", __doc__.splitlines()[0])
    parser.add_argument("--minutes", default="8", help="of pretraining (8)")
    parser.add_argument("--tokens", default="words", help="words or characters (words)")
    parser.add_argument("--seeds", type=int, default=3, help="how many times to fine-tune (3)")
    parser.add_argument("--hide-names", action="store_true", help="one word for all names")
    options = parser.parse_args()
    texts = write_novels(options.folder / "novels", options.data)
    folder = options.folder / ("without-names" if options.hide_names else "with-names")
    write_passages(texts, folder, int(options.seed), options.hide_names)
    encoder, untrained = folder / "encoder", folder / "untrained"
    pretrain = ("--task", "masked", "--tokens", options.tokens, "--minutes", options.minutes)
    retrograd(
        "train", folder / "texts", *pretrain, "--seed", options.seed, "--out", encoder, "--force"
    )
    write_untrained(encoder, untrained, int(options.seed))
    ways: dict[str, tuple[str | Path, ...]] = {
        "pretrained": ("--encoder", encoder),
        "untrained": ("--encoder", untrained),
        "words and pairs of words": ("--network", "ngrams"),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for seed in range(options.seeds):
        for name, way in ways.items():
            model = folder / "classifier"
            train = ("train", folder / "passages.csv", "--task", "text", "--target", "novel")
            retrograd(*train, *way, "--seed", str(seed), "--out", model, "--force")
            found[name].append(measure(model, folder / "held-out.csv"))
    print("\nRight on held-out passages (chance: 16.7 %), the mean and each seed:")
    for name, shares in found.items():
        each = ", ".join(f"{100 * share:.1f}" for share in shares)
        print(f"  {name:<26}{100 * float(np.mean(shares)):.1f} %   ({each})")


if __name__ == "__main__":
    run(main)

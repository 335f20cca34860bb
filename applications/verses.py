"""From English to Spanish, learnt from verses: `make verses`.

The texts are the King James Version and the Reina-Valera of 1909, both in the public domain: 31,084
verses in both languages. The test part is 500 pairs with at most 12 words a side; no text of it, in
either language, is in what is learnt. The other verses are learnt whatever their length.
"""

from __future__ import annotations

import random
from pathlib import Path

from retrograd.data.pairs import as_key, count_words

from .application import make_parser, retrograd, run
from .packages import DebianPackage
from .sword import read_verses

ENGLISH = DebianPackage(
    "sword-text-kjv",
    "14.3-1",
    "9f463f28ce665f6f528fc723179722bced880a4c5485f7a41bf742838315de57",
)
SPANISH = DebianPackage(
    "sword-text-sparv",
    "2.60-1",
    "5c87f9b2bc97457e8a872f5bae7ea7ce59cb3de1dcee73e4d4740451863694cf",
)
MODULES = "usr/share/sword/modules/texts/ztext"
MOST_WORDS, TEST_PAIRS = 12, 500


def read_pairs(data: Path | None = None) -> list[tuple[str, str]]:
    """The verses in both languages: the modules have the same order of verses."""
    sides = [
        read_verses(package.open(data), f"{MODULES}/{module}")
        for package, module in ((ENGLISH, "engKJV2006eb"), (SPANISH, "spaRV1909eb"))
    ]
    return [pair for pair in zip(*sides, strict=True) if all(pair)]


def choose_test(
    pairs: list[tuple[str, str]],
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The pairs to learn and those to test with, always the same ones.

    The test pairs are short and all different. Pairs that have a text of them are in neither part.
    """
    short: dict[str, tuple[str, str]] = {}
    for pair in pairs:
        if max(map(count_words, pair)) <= MOST_WORDS:
            short.setdefault(as_key(pair[0]), pair)
    test = random.Random(0).sample(list(short.values()), TEST_PAIRS)
    keys = [{as_key(pair[side]) for pair in test} for side in (0, 1)]
    learnt = [
        pair for pair in pairs if not any(as_key(text) in held for text, held in zip(pair, keys))
    ]
    return learnt, test


def write_pairs(path: Path, pairs: list[tuple[str, str]]) -> Path:
    """Write pairs as a table with two columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["english\tspanish", *(f"{english}\t{spanish}" for english, spanish in pairs)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def main() -> None:
    parser = make_parser("verses", __doc__.splitlines()[0])
    parser.add_argument("--minutes", default="12", help="of training (12)")
    options = parser.parse_args()
    learnt, test = choose_test(read_pairs(options.data))
    files = [
        write_pairs(options.folder / f"{name}.tsv", pairs)
        for name, pairs in (("verses", learnt), ("test", test))
    ]
    model = options.folder / "translator"
    columns = ("--source", "english", "--target", "spanish")
    ends = ("--minutes", options.minutes, "--seed", options.seed, "--out", model, "--force")
    retrograd("train", files[0], "--task", "translation", *columns, "--test", files[1], *ends)
    retrograd("evaluate", model, files[1])


if __name__ == "__main__":
    run(main)

"""Translations of new texts, and how good they are on texts whose translations are known."""

from __future__ import annotations

import re
import sys

from ....data.pairs import read_pairs, read_texts
from ....data.table import read_table, write_predictions
from ....data.table_files import find_format, read_bytes
from ....metrics import chrf
from ...plain import STANDARD_INPUT, read_lines, write_text
from ...progress import show_share
from ...run import Output, count
from ..task import PredictRequest
from .model import load_translation_model

TABLES = (".csv", ".tsv", ".tab", ".parquet", ".pq")
"""Endings of files that are tables, whatever they hold."""


def translate_file(request: PredictRequest, output: Output) -> None:
    """Print or write a translation for each line of a text, or for each row of a table."""
    request.refuse_probabilities("writes translations")
    request.check_out()
    if request.out is None:
        output = Output(output.json, aside=True)  # stdout is for the translations
    model = load_translation_model(request.model)
    is_table = request.data != STANDARD_INPUT and _is_table(request.data, model.source)
    if is_table:
        table = read_table(request.data)
        output.warn(*table.notes)
        texts = read_texts(table, model.source)
    else:
        texts = [" ".join(line.split()) for line in read_lines(request.data)]
    longer = sum(map(model.is_too_long, texts))
    if longer:
        output.warn(
            f"{count(longer, 'text')} with more than {model.longest} subwords: only the beginning "
            "is translated"
        )
    with show_share("translating") as show:
        found = model.translate(texts, tell=lambda share: show(share, ""))
    if request.out is None:
        if not output.json:
            sys.stdout.write(_join(found))
    elif is_table:
        write_predictions(request.out, {"prediction": found})
    else:
        write_text(request.out, _join(found))
    if request.out is not None:
        output.say(f"{count(len(found), 'translation')} in {request.out}")
    output.finish({"out": request.out, "rows": len(found), "translations": found})


def evaluate_translations(model: str, data: str, output: Output) -> None:
    """chrF on a table with both columns."""
    trained = load_translation_model(model)
    table = read_table(data)
    pairs, notes = read_pairs(table, trained.source, trained.target)
    output.warn(*table.notes, *notes)
    with show_share("translating") as show:
        found = trained.translate(pairs.sources, tell=lambda share: show(share, ""))
    score = chrf(found, pairs.targets)
    same = sum(a == b for a, b in zip(found, pairs.targets))
    output.say(f"{data}: {count(len(pairs), 'pair')}")
    output.show_table([["chrF (0 to 100)", f"{score:.1f}"], ["exactly the same", str(same)]])
    output.finish({"model": model, "pairs": len(pairs), "chrf": score, "same": same})


def _is_table(path: str, column: str) -> bool:
    """Whether a file is a table by its ending, or has the column of the source.

    Else it is read as one text a line.
    """
    if path.lower().endswith(TABLES):
        return True
    start = read_bytes(path, 65536)
    if find_format(path, start[:8192]) == "parquet":
        return True
    header = start.decode("utf-8-sig", "replace").split("\n", 1)[0].strip("\r")
    return column in {cell.strip().strip('"') for cell in re.split(r"[,;\t|]", header)}


def _join(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)

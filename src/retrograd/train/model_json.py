"""model.json of a model directory: written and read strictly, as plain values and nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, FileFormatError
from ..trace import Array

LARGEST_JSON = 64 * 2**20
DEEPEST_NESTING = 100


def make_plain(value: Any, place: str, depth: int = 0) -> Any:
    """The value as JSON holds it: tuples become lists, NumPy's numbers and arrays Python's.

    Args:
        value: dicts with string keys, lists, tuples, strings, numbers, bools, None, NumPy values.
        place: what it is, for messages (`extra['classes']`).

    Raises:
        ArgumentTypeError: JSON has no such value.
        ArgumentError: NaN, infinite, or nested too deeply.
    """
    if depth > DEEPEST_NESTING:
        raise ArgumentError(f"{place:.200} is nested more than {DEEPEST_NESTING} levels deep.")
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (np.ndarray, Array)):
        value = np.asarray(value).tolist()
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ArgumentError(
                f"{place} is {value}, which JSON cannot hold.",
                fix="replace it by a finite number or None",
            )
        return float(value)
    if isinstance(value, (list, tuple)):
        return [make_plain(item, f"{place}[{i}]", depth + 1) for i, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ArgumentTypeError(
                    f"{place} has the key {key!r:.60}; keys are strings.",
                    fix=f"use {str(key)!r:.60}",
                )
        return {
            str(key): make_plain(item, f"{place}[{key!r:.60}]", depth + 1)
            for key, item in value.items()
        }
    raise ArgumentTypeError(
        f"{place} is of type {type(value).__name__}, which JSON cannot hold.",
        fix="use dicts with string keys, lists, strings, numbers, True, False and None",
    )


def encode_json(value: Any) -> bytes:
    """The bytes of model.json, for people to read too."""
    data = json.dumps(value, indent=1, allow_nan=False).encode() + b"\n"
    if len(data) > LARGEST_JSON:
        raise ArgumentError(
            f"model.json would have {len(data):,} bytes; at most {LARGEST_JSON:,} are read again.",
            fix="keep large tables in files of their own",
        )
    return data


def decode_json(data: bytes, name: str) -> Any:
    """The values in model.json.

    Raises:
        FileFormatError: not JSON in UTF-8, NaN, a key twice, nested too deeply, or too large.
    """
    if len(data) > LARGEST_JSON:
        raise damaged_json(name, f"it has {len(data):,} bytes")
    try:
        value = json.loads(
            data.decode("utf-8"),
            parse_float=_parse_float,
            parse_constant=_refuse_constant,
            object_pairs_hook=_build_dict,
        )
    except RecursionError as error:
        raise damaged_json(name, "it is nested too deeply") from error
    except ValueError as error:
        raise damaged_json(name, f"it is not JSON ({error})") from error
    try:
        make_plain(value, "the file")
    except (ArgumentError, ArgumentTypeError) as error:
        raise damaged_json(name, error.message.rstrip(".")) from error
    return value


def _parse_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text:.40} is not a finite number")
    return number


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number of JSON")


def _build_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r:.60} stands twice")
    return built


def damaged_json(name: str, reason: str) -> FileFormatError:
    return FileFormatError(
        f"{name!r} is truncated or damaged: {reason}.",
        fix="use an earlier copy of the model directory, or save the model again",
    )


def take(
    table: Any, key: str, kind: type, name: str, check: Callable[[Any], bool] | None = None
) -> Any:
    """The entry of a table read from model.json, if it is of the kind that it must be."""
    if not isinstance(table, dict) or key not in table:
        raise damaged_json(name, f"the entry {key!r} is missing")
    value = table[key]
    wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
    if wrong or (check is not None and not check(value)):
        raise damaged_json(name, f"the entry {key!r} is {value!r:.60}, which makes no sense there")
    return value

"""Decisions about columns: each kind from values that show it, each with its reason."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from retrograd.data.column_kinds import decide_kind
from retrograd.data.columns import ColumnPlan, decide_columns
from retrograd.data.table import Table
from retrograd.errors import ArgumentError, DataError, FileFormatError

generator = random.Random(0)
ROWS = 100
NOISE = [generator.gauss(0, 1) for _ in range(ROWS)]
LABELS = [generator.choice(["cat", "dog", "owl"]) for _ in range(ROWS)]


def text_table(**columns: list[Any]) -> Table:
    """As from a CSV file: every value is text or missing."""
    return Table.from_columns(
        {
            name: [None if value is None else str(value) for value in values]
            for name, values in columns.items()
        }
    )


@pytest.mark.parametrize(
    ("name", "values", "kind", "words"),
    [
        ("size", NOISE, "numeric", "100 different values"),
        ("size", [None] + NOISE[1:], "numeric", "1 missing (1.0 %)"),
        ("size", [f"{n:.2f}".replace(".", ",") for n in NOISE], "numeric", "decimal comma"),
        ("size", ["1,234", "999"] * 50, "numeric", "thousands comma"),
        ("rank", list(range(5, 105)), "numeric", "from 5 to 104"),
        ("week", list(range(100)), "numeric", "from 0 to 99"),
        ("colour", ["red", "blue"] * 50, "categorical", "2 different values"),
        ("children", ["0", "1", "2", "3+"] * 25, "categorical", "4 different values"),
        ("flag", ["x", None] * 50, "categorical", "one value or none, 50 missing"),
        ("day", [f"2020-01-{1 + i % 28:02d}" for i in range(100)], "date", "2020-01-01 to 2020-01"),
        ("day", [f"{1 + i % 28}/2/2020" for i in range(100)], "date", "day first"),
        ("day", [f"2/{1 + i % 28}/2020" for i in range(100)], "date", "month first"),
        ("day", [f"{1 + i % 28} Mar 2020" for i in range(100)], "date", "2020-03-28"),
        ("day", [f"2020-01-02T{i % 24:02d}:30:00Z" for i in range(100)], "date", "2020-01-02"),
        ("customer_id", [i * 7 % 1009 for i in range(100)], "identifier", "its name"),
        ("n", list(range(1, 101)), "identifier", "it counts the rows, from 1 to 100"),
        ("code", [f"C{i}" for i in range(100)], "identifier", "its own text"),
        ("one", [3] * 100, "constant", "every row has 3"),
        ("one", ["x"] * 100, "constant", "every row has 'x'"),
        ("none", [None] * 100, "empty", "all its values are missing"),
        ("street", [f"S{i % 60}" for i in range(100)], "too many categories", "60 different"),
        ("price", [f"${i},200.5" for i in range(100)], "identifier", "'$0,200.5' would be used as"),
        ("share", [f"{i % 60}.5 %" for i in range(100)], "too many categories", "'0.5 %' would be"),
        ("mass", [f"{i % 60} kg" for i in range(100)], "too many categories", "without its unit"),
        ("note", [f"the {i} dogs sat there {i}" for i in range(100)], "text", "free text"),
    ],
)
def test_kinds(name: str, values: list[Any], kind: str, words: str) -> None:
    decision = decide_kind(text_table(**{name: values}), name)
    assert decision.kind == kind
    assert words in decision.reason


def test_whole_numbers_as_classes_name_the_other_task() -> None:
    """From -9 to 9 may be classes or quantities: who meant quantities reads how to say so."""
    table = text_table(size=NOISE, goal=[n % 19 - 9 for n in range(ROWS)])
    plan = decide_columns(table, "goal")
    assert plan.task == "classification"
    assert "--task regression" in plan.explain()[0][2]
    asked = decide_columns(table, "goal", task="regression")
    assert asked.task == "regression"
    for labels in ([n % 2 for n in range(ROWS)], LABELS):
        plan = decide_columns(text_table(size=NOISE, goal=labels), "goal")
        assert "--task" not in plan.explain()[0][2]


def test_the_plan_explains_every_column() -> None:
    table = text_table(size=NOISE, id=list(range(ROWS)), species=LABELS, other=NOISE[::-1])
    plan = decide_columns(table, "species", drop=["other"])
    assert [row[:2] for row in plan.explain()] == [
        ("species", "target (classification)"),
        ("size", "numeric"),
        ("id", "identifier"),
        ("other", "dropped"),
    ]
    assert [item.name for item in plan.features] == ["size"]
    assert ColumnPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize("change", ["target", "columns", "kind", "style", "task"])
def test_a_damaged_plan_is_refused(change: str) -> None:
    data = decide_columns(text_table(size=NOISE, species=LABELS), "species").to_json()
    if change in data:
        del data[change]
    elif change == "task":
        data["target"]["task"] = "dance"
    else:
        data["columns"][0][change] = "strange"
    with pytest.raises(FileFormatError, match="column plan"):
        ColumnPlan.from_json(data)


@pytest.mark.parametrize(
    ("target", "task"),
    [
        (LABELS, "classification"),
        (["0", "1"] * 50, "classification"),
        ([5, 9] * 3, "classification"),
        ([0, 1, 2, 3] * 4, "regression"),
        ([i % 10 for i in range(100)], "classification"),
        ([i % 25 for i in range(100)], "regression"),
        (NOISE, "regression"),
        (["1.5", "2.5"] * 50, "regression"),
    ],
)
def test_the_task_follows_from_the_target(target: list[Any], task: str) -> None:
    table = text_table(x=NOISE[: len(target)], y=target)
    assert decide_columns(table, "y").task == task


def test_the_task_can_be_overruled() -> None:
    table = text_table(x=NOISE, y=[i % 10 for i in range(100)])
    assert decide_columns(table, "y", task="regression").task == "regression"
    table = text_table(x=NOISE, y=[i % 25 for i in range(100)])
    assert decide_columns(table, "y", task="classification").task == "classification"


SCALED = [2 * value + 1 for value in NOISE]
CODES = [{"cat": 3, "dog": 1, "owl": 2}[label] for label in LABELS]
NEAR = [value + 1e-4 * other for value, other in zip(NOISE, NOISE[::-1])]
CORRECTED = [value if i % 25 else 0.5 * value for i, value in enumerate(NOISE)]
FINER = [f"{label}{i % 2}" for i, label in enumerate(LABELS)]


@pytest.mark.parametrize(
    ("column", "target", "kind", "words"),
    [
        (LABELS, LABELS, "leak", "a copy of the target 'y'"),
        (NOISE, NOISE, "leak", "a copy of the target 'y'"),
        (CODES, LABELS, "leak", "its 3 values stand one to one for those of 'y'"),
        (SCALED, NOISE, "leak", "in another unit"),
        (NEAR, NOISE, "numeric", "suspected leak: its correlation with 'y' is"),
        (CORRECTED, NOISE, "numeric", "suspected leak: it equals 'y' in 96.0% of the rows"),
        (FINER, LABELS, "categorical", "each of its 6 values goes with one class only"),
    ],
)
def test_leaks(column: list[Any], target: list[Any], kind: str, words: str) -> None:
    other = NOISE[50:] + NOISE[:50]
    plan = decide_columns(text_table(x=column, other=other, y=target), "y")
    assert plan.decisions[0].kind == kind
    assert words in plan.decisions[0].reason
    assert bool(plan.warnings) == (kind != "leak")
    kept = "categorical" if isinstance(column[0], str) else "numeric"
    plan = decide_columns(text_table(x=column, other=other, y=target), "y", kinds={"x": kept})
    assert plan.decisions[0].kind == kept
    assert words in plan.warnings[0]


def test_a_good_column_is_no_leak() -> None:
    target = [value + 0.3 * other for value, other in zip(NOISE, NOISE[::-1])]
    plan = decide_columns(text_table(x=NOISE, other=NOISE[::-1], y=target), "y")
    assert [item.kind for item in plan.decisions] == ["numeric", "numeric"]
    assert plan.warnings == ()


def test_small_tables_only_get_a_warning() -> None:
    table = text_table(x=list("aabbccabca"), z=NOISE[:10], y=list("ddeeffdefd"))
    plan = decide_columns(table, "y")
    assert plan.decisions[0].kind == "categorical"
    assert "one to one" in plan.warnings[0]


def test_an_only_column_is_kept() -> None:
    plan = decide_columns(text_table(count=list(range(ROWS)), y=NOISE), "y")
    assert plan.decisions[0].kind == "numeric"
    assert "only one to learn from" in plan.warnings[0]
    plan = decide_columns(text_table(x=NOISE, y=SCALED), "y")
    assert plan.decisions[0].kind == "numeric"


def test_rows_without_target_are_told() -> None:
    plan = decide_columns(text_table(x=NOISE, y=[None, "?"] + LABELS[2:]), "y")
    assert plan.warnings == ("2 of 100 rows have no 'y' and are left out",)


@pytest.mark.parametrize(
    ("columns", "arguments", "words"),
    [
        ({"x": NOISE, "species": LABELS}, {"target": "specis"}, ["'specis'", "'species'"]),
        ({"x": NOISE, "y": LABELS}, {"drop": ["z"]}, ["'z'", "drop", "'x'"]),
        ({"x": NOISE, "y": LABELS}, {"drop": ["y"]}, ["target 'y'", "drop"]),
        ({"x": NOISE, "y": ["a"] * 100}, {}, ["'y'", "'a'", "all of 100 rows"]),
        ({"x": NOISE, "y": ["1", "1.0"] * 50}, {}, ["'y'", "number 1", "100 rows"]),
        ({"x": NOISE, "y": [None] * 100}, {}, ["'y'", "no value", "100 rows"]),
        ({"x": [1], "y": ["a"]}, {}, ["one row"]),
        ({"x": NOISE, "y": [f"a{i}" for i in range(100)]}, {}, ["100 different", "'a0'"]),
        ({"x": NOISE, "y": [f"2020-01-{1 + i % 28:02d}" for i in range(100)]}, {}, ["dates"]),
        ({"x": NOISE, "y": LABELS}, {"task": "regression"}, ["'y'", "row 1 ", LABELS[0]]),
        ({"x": NOISE, "y": NOISE}, {"task": "classification"}, ["too many to be classes"]),
        ({"x": NOISE[:-1] + ["abc"], "y": LABELS}, {}, ["'x'", "row 100 ", "'abc'"]),
        ({"x": NOISE[:-2] + ["inf", "1e999"], "y": LABELS}, {}, ["'x'", "row 99 ", "'inf'"]),
        ({"x": NOISE, "y": NOISE[:-1] + ["-inf"]}, {}, ["'y'", "row 100 ", "'-inf'"]),
        ({"x": NOISE, "y": NOISE[:-1] + ["high"]}, {}, ["'y'", "row 100 ", "'high'"]),
        (
            {"x": ["2020-01-02", "2020-05-30"] * 49 + ["2020-01-02", "soon"], "y": LABELS},
            {},
            ["'x'", "dates", "row 100 ", "'soon'"],
        ),
        ({"x": [1] * 100, "y": LABELS}, {}, ["No column", "'x': constant"]),
        ({"y": LABELS}, {}, ["No column", "only the target"]),
    ],
)
def test_what_cannot_be_learned_is_told(
    columns: dict[str, list[Any]], arguments: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        decide_columns(text_table(**columns), **{"target": "y", **arguments})
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"task": "regresion"}, "'regression'"),
        ({"kinds": {"x": "numerc"}}, "'numeric'"),
        ({"drop": "x"}, "list of column names"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        decide_columns(text_table(x=NOISE, y=LABELS), "y", **arguments)
    assert words in str(caught.value)


def test_typed_columns_are_decided_like_text() -> None:
    table = Table.from_columns(
        {"size": NOISE, "yes": [True, False] * 50, "y": [i % 3 for i in range(100)]}
    )
    plan = decide_columns(table, "y")
    assert plan.task == "classification"
    assert [item.kind for item in plan.decisions] == ["numeric", "categorical"]


def test_the_semicolon_decides_what_a_comma_means(tmp_path: Any) -> None:
    from retrograd.data.table import read_table

    path = tmp_path / "data.csv"
    path.write_text("x;y\n" + "1,234;a\n2,345;b\n" * 50)
    assert decide_kind(read_table(str(path)), "x").style == "decimal comma"
    path.write_text("x,y\n" + '"1,234",a\n"2,345",b\n' * 50)
    assert decide_kind(read_table(str(path)), "x").style == "thousands comma"

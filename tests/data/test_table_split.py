"""Splits: disjoint, complete, seeded, stratified, duplicates together, or a clear refusal."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from retrograd.data.columns import ColumnPlan, decide_columns
from retrograd.data.table import Table
from retrograd.data.table_split import RowSplit, group_duplicates, split_rows
from retrograd.errors import ArgumentError, DataError

generator = random.Random(1)


def make(labels: list[Any], x: list[Any] | None = None) -> tuple[Table, ColumnPlan]:
    values = x if x is not None else [generator.gauss(0, 1) for _ in labels]
    table = Table.from_columns({"x": values, "y": labels})
    return table, decide_columns(table, "y")


def check_parts(split: RowSplit, rows: int) -> None:
    parts = [split.train, split.validation, split.test, split.excluded]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(rows))
    assert all((np.diff(part) > 0).all() for part in parts)


def test_shares_and_classes() -> None:
    labels = ["a"] * 700 + ["b"] * 250 + ["c"] * 50
    table, plan = make(labels)
    split = split_rows(table, plan, validation=0.1, test=0.2)
    check_parts(split, 1000)
    for part, share in ((split.train, 0.7), (split.validation, 0.1), (split.test, 0.2)):
        names, counts = np.unique(np.array(labels)[part], return_counts=True)
        assert names.tolist() == ["a", "b", "c"]
        np.testing.assert_allclose(counts, share * np.array([700, 250, 50]), atol=1)


def test_the_seed_decides() -> None:
    table, plan = make(["a", "b"] * 100)
    first, second, third = (split_rows(table, plan, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.test, second.test)
    assert np.array_equal(first.validation, second.validation)
    assert not np.array_equal(first.test, third.test)


def test_rare_classes() -> None:
    labels = ["a"] * 95 + ["one"] + ["two"] * 2 + ["three"] * 3
    table, plan = make(labels)
    for seed in range(10):
        split = split_rows(table, plan, seed=seed)
        check_parts(split, len(labels))
        found = {
            name: [labels[place] for place in getattr(split, name)]
            for name in ("train", "validation", "test")
        }
        assert set(found["train"]) == set(labels)
        assert all("three" in part for part in found.values())
        assert "one" in split.notes[-1]
        assert "three" not in split.notes[-1]


def test_the_only_row_of_a_class_is_trained_on() -> None:
    table, plan = make(["a"] * 50 + ["b"] * 49 + ["one"])
    for seed in range(5):
        assert 99 in split_rows(table, plan, seed=seed, validation=0.2, test=0.7).train


def test_duplicates_stay_together() -> None:
    values = [float(i % 60) for i in range(200)]
    labels = [("a", "b")[int(value) % 2] for value in values]
    table, plan = make(labels, values)
    for seed in range(5):
        split = split_rows(table, plan, seed=seed)
        check_parts(split, 200)
        sets = [{values[i] for i in part} for part in (split.train, split.validation, split.test)]
        assert sum(len(part) for part in sets) == len(set(values))
        assert 30 <= len(split.test) <= 50
        assert 20 <= len(split.validation) <= 40
    assert "140 of 200 rows repeat another row; repeats are kept in one part" in split.notes


def test_duplicates_are_found_in_the_columns_that_are_used() -> None:
    values = [float(i % 50) for i in range(100)]
    labels = ["a", "b"] * 50
    table = Table.from_columns(
        {"id": np.arange(100) * 3, "x": values, "z": ["p", "q", None, "q", "p"] * 20, "y": labels}
    )
    plan = decide_columns(table, "y")
    groups, _ = group_duplicates(table, plan, np.arange(100))
    keys = list(zip(values, table.column("z").tolist()))
    expected = [[a == b for b in keys] for a in keys]
    assert (groups[:, None] == groups[None, :]).tolist() == expected


def test_a_table_of_few_different_rows_is_split_by_row() -> None:
    table, plan = make(["a", "b", "b", "a"] * 50, [0.0, 1.0, 2.0, 3.0] * 50)
    split = split_rows(table, plan)
    assert {float(table.column("x")[place]) for place in split.test} == {0.0, 1.0, 2.0, 3.0}
    assert "only 4 different rows" in split.notes[0]


def test_one_large_group_does_not_swallow_the_test_part() -> None:
    values = [0.0] * 60 + [float(i) for i in range(1, 141)]
    table, plan = make(["a", "b"] * 100, values)
    for seed in range(10):
        split = split_rows(table, plan, seed=seed)
        assert 0 in split.train
        assert 30 <= len(split.test) <= 50


def test_regressions_have_large_and_small_values_in_every_part() -> None:
    goal = [generator.expovariate(1.0) for _ in range(200)]
    table, plan = make(goal)
    split = split_rows(table, plan)
    check_parts(split, 200)
    low, high = np.quantile(goal, [0.2, 0.8])
    for part in (split.validation, split.test):
        chosen = np.array(goal)[part]
        assert abs((chosen < low).mean() - 0.2) < 0.05
        assert abs((chosen > high).mean() - 0.2) < 0.05


def test_rows_without_target_are_excluded() -> None:
    labels: list[Any] = ["a", "b"] * 20
    labels[3] = None
    table, plan = make(labels)
    split = split_rows(table, plan)
    check_parts(split, 40)
    assert split.excluded.tolist() == [3]


def test_no_validation_part_on_request() -> None:
    table, plan = make(["a", "b"] * 20)
    split = split_rows(table, plan, validation=0.0)
    assert len(split.validation) == 0
    check_parts(split, 40)


def test_too_few_rows() -> None:
    table, plan = make(["a", "b"] * 3)
    with pytest.raises(DataError, match="6 rows with a value of 'y'; at least 10"):
        split_rows(table, plan)
    table, plan = make(["a", "b"] * 5)
    split = split_rows(table, plan)
    assert min(len(split.train), len(split.validation), len(split.test)) > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"test": 1.0}, "test"),
        ({"validation": -0.1}, "validation"),
        ({"validation": float("nan")}, "validation"),
        ({"validation": 0.5, "test": 0.5}, "no rows to train"),
        ({"seed": -1}, "seed"),
        ({"test": "half"}, "'half'"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], words: str) -> None:
    table, plan = make(["a", "b"] * 20)
    with pytest.raises(ArgumentError, match=words):
        split_rows(table, plan, **arguments)

"""The preprocessor: numbers by hand, what is new at predict time, files, and bad input."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from retrograd.data.columns import decide_columns
from retrograd.data.encode import Preprocessor
from retrograd.data.encoders import find_mean_and_scale, take_date_part
from retrograd.data.table import Table
from retrograd.errors import DataError, FileFormatError, IndexRangeError, ShapeError

TRAIN = Table.from_columns(
    {
        "size": ["1", "2", None, "3", "10", "4"] * 5,
        "colour": ["red", "blue", "red", None, "blue", "red"] * 5,
        "day": ["2020-01-31", "2020-02-01", None, "2021-12-31", "2020-03-01", "2020-01-31"] * 5,
        "kind": ["b", "a", "b", "a", "b", "a"] * 5,
        "price": ["1.5", "2.5", "3.5", "4.5", "5.5", "6.5"] * 5,
    }
)
PLAN = decide_columns(TRAIN, "kind", drop=["price"])
FITTED = Preprocessor.fit(TRAIN, PLAN)
PRICE = Preprocessor.fit(TRAIN, decide_columns(TRAIN, "price", task="regression"))


def feature(name: str, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return x[:, FITTED.feature_names.index(name)]


def change(**columns: list[Any]) -> Table:
    """The first rows of the training part with other values in some columns."""
    count = len(next(iter(columns.values())))
    base = {name: TRAIN.column(name)[:count] for name in TRAIN.names}
    return Table.from_columns({**base, **columns}, source="new.csv")


def test_numbers_are_standardised_and_the_median_fills() -> None:
    x, _ = FITTED.transform(TRAIN)
    assert x.dtype == np.float32
    known = np.array([1, 2, 3, 10, 4.0])
    expected = (np.array([1, 2, 3, 3, 10, 4.0]) - known.mean()) / known.std()
    np.testing.assert_allclose(feature("size", x)[:6], expected, rtol=1e-6)
    assert feature("size is missing", x)[:6].tolist() == [0, 0, 1, 0, 0, 0]


def test_categories_have_one_feature_each() -> None:
    x, _ = FITTED.transform(TRAIN)
    assert feature("colour = blue", x)[:6].tolist() == [0, 1, 0, 0, 1, 0]
    assert feature("colour = red", x)[:6].tolist() == [1, 0, 1, 0, 0, 1]
    assert feature("colour is missing", x)[:6].tolist() == [0, 0, 0, 1, 0, 0]


def test_dates_have_their_parts() -> None:
    dates = np.array(["1969-12-31T06:30", "2020-02-29", "2021-03-01"], dtype="datetime64[us]")
    expected = {
        "days": [-1, 18321, 18687],
        "year": [1969, 2020, 2021],
        "month": [12, 2, 3],
        "day": [31, 29, 1],
        "weekday": [2, 5, 0],
        "day_of_year": [365, 60, 60],
        "hour": [6.5, 0, 0],
    }
    for part, values in expected.items():
        assert take_date_part(dates, part).tolist() == values
    x, _ = FITTED.transform(TRAIN)
    assert feature("day is missing", x)[:6].tolist() == [0, 0, 1, 0, 0, 0]
    assert feature("day month", x)[2] == 0.0
    assert feature("day month", x)[3] == feature("day month", x).max()
    assert "day hour" not in FITTED.feature_names


def test_targets() -> None:
    _, y = FITTED.transform(TRAIN)
    assert (y.dtype, y[:4].tolist(), FITTED.classes) == (np.int32, [1, 0, 1, 0], ("a", "b"))
    assert FITTED.outputs == 2
    assert FITTED.labels(np.array([1, 0])) == ["b", "a"]
    _, y = PRICE.transform(TRAIN)
    assert (y.dtype, y.shape, PRICE.outputs) == (np.float32, (30, 1), 1)
    assert abs(float(y.mean())) < 1e-6
    np.testing.assert_allclose(PRICE.inverse_transform(y)[:3], [1.5, 2.5, 3.5], rtol=1e-6)
    np.testing.assert_array_equal(PRICE.inverse_transform(y), PRICE.inverse_transform(y[:, 0]))


def test_numeric_classes_are_sorted_and_matched_as_numbers() -> None:
    table = Table.from_columns({"x": np.linspace(0, 1, 60), "y": ["10", "9", "2"] * 20})
    fitted = Preprocessor.fit(table, decide_columns(table, "y"))
    assert fitted.classes == ("2", "9", "10")
    new = Table.from_columns({"x": [0.5, 0.5], "y": np.array([9.0, 10.0])})
    assert fitted.transform(new)[1].tolist() == [1, 2]
    new = Table.from_columns({"x": [0.5], "y": ["9.0"]})
    assert fitted.transform(new)[1].tolist() == [1]


def test_new_values_are_counted_and_rows_keep_their_order() -> None:
    new = change(colour=["green", "red", "green", "white"], day=[None] * 4)
    new = Table.from_columns(
        {name: new.column(name) for name in reversed(new.names)} | {"extra": [1, 2, 3, 4]}
    )
    encoded = FITTED.encode(new)
    assert encoded.report.unseen == {"colour": {"green": 2, "white": 1}}
    assert encoded.report.missing == {"size": 1, "day": 4}
    assert encoded.report.ignored == ("price", "extra")
    assert feature("colour = red", encoded.x).tolist() == [0, 1, 0, 0]
    assert feature("colour = blue", encoded.x).tolist() == [0, 0, 0, 0]
    assert feature("colour is missing", encoded.x).tolist() == [0, 0, 0, 0]


def test_the_target_is_not_needed_to_predict() -> None:
    names = [item.name for item in PLAN.features]
    new = Table.from_columns({name: TRAIN.column(name)[:1] for name in names})
    np.testing.assert_array_equal(FITTED.encode(new).x, FITTED.encode(TRAIN).x[:1])


def test_only_the_training_part_is_learned_from() -> None:
    part = Preprocessor.fit(TRAIN.rows([0, 1, 2, 3]), PLAN)
    other = Preprocessor.fit(change(size=["1", "2", None, "3"]), PLAN)
    assert part == other
    assert part != FITTED


def test_what_does_not_vary_in_the_training_part_is_left_out() -> None:
    fitted = Preprocessor.fit(change(size=["5", "5", "5", "5"]), PLAN)
    assert not any(name.startswith("size") for name in fitted.feature_names)
    assert fitted.encode(change(size=["1e30", None])).x.shape == (2, len(fitted.feature_names))


def test_large_and_small_numbers_do_not_overflow() -> None:
    mean, scale = find_mean_and_scale(np.array([1e300, 3e300]))
    assert (mean, scale) == (2e300, 1e300)
    mean, scale = find_mean_and_scale(np.array([1e-300, 3e-300]))
    np.testing.assert_allclose([mean, scale], [2e-300, 1e-300])
    assert find_mean_and_scale(np.full(3, 0.1))[1] == 0.0


def test_through_a_file_and_back() -> None:
    for fitted in (FITTED, PRICE):
        text = json.dumps(fitted.to_json(), allow_nan=False)
        read = Preprocessor.from_json(json.loads(text))
        assert read == fitted
        np.testing.assert_array_equal(read.encode(TRAIN).x, fitted.encode(TRAIN).x)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((), None),
        (("version",), 99),
        (("columns",), "x"),
        (("columns", 0), {}),
        (("columns", 0, "kind"), "magic"),
        (("columns", 0, "mean"), "1"),
        (("columns", 0, "scale"), float("nan")),
        (("columns", 0, "extra"), 1),
        (("columns", 0, "style"), "roman"),
        (("columns", 1, "categories"), "ab"),
        (("columns", 1, "categories"), [1, 2]),
        (("columns", 2, "parts"), ["days"]),
        (("target",), None),
        (("target", "classes"), ["a"]),
        (("target", "task"), "dance"),
    ],
)
def test_damaged_files_are_refused(path: tuple[Any, ...], value: Any) -> None:
    data: Any = FITTED.to_json()
    data = json.loads(json.dumps(data))
    place: Any = data
    if not path:
        data = value
    for key in path[:-1]:
        place = place[key]
    if path:
        place[path[-1]] = value
    with pytest.raises(FileFormatError, match="preprocessing|encoding") as caught:
        Preprocessor.from_json(data)
    assert "fix:" in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"size": ["1", "abc", "x"]}, ["'size'", "row 2 of new.csv", "'abc'", "1 more"]),
        ({"size": ["1", "1_0"]}, ["'size'", "row 2 of new.csv", "'1_0'"]),
        ({"size": ["1", "inf"]}, ["'size'", "infinite", "row 2 of new.csv", "'inf'"]),
        ({"size": [1.0, -np.inf]}, ["'size'", "infinite", "row 2 of new.csv", "-inf"]),
        ({"size": ["1", "1e300"]}, ["'size'", "'1e300'", "row 2 of new.csv", "float32"]),
        ({"size": np.array(["2020-01-01"], "datetime64[D]")}, ["'size'", "numbers", "row 1"]),
        ({"day": ["2020-01-01", "soon"]}, ["'day'", "dates", "row 2 of new.csv", "'soon'"]),
        ({"day": [1.0, 2.0]}, ["'day'", "dates", "row 1 of new.csv"]),
    ],
)
def test_bad_values_are_named(columns: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        FITTED.encode(change(**columns))
    for word in words:
        assert word in str(caught.value)


def test_a_missing_column_is_named_with_the_nearest() -> None:
    new = Table.from_columns(
        {"Size": [1], "colour": ["red"], "day": ["2020-01-01"]}, source="new.csv"
    )
    with pytest.raises(DataError) as caught:
        FITTED.encode(new)
    assert "new.csv lacks 1 of the 3 columns" in str(caught.value)
    assert "for 'size': Did you mean 'Size'?" in str(caught.value)
    with pytest.raises(DataError, match="2 of the 3 columns.*'size', 'day'"):
        FITTED.encode(Table.from_columns({"colour": ["red"]}))


def test_bad_targets_are_named() -> None:
    with pytest.raises(DataError, match="'kind'.*'B'.*row 2 of new.csv.*none of the 2") as caught:
        FITTED.transform(change(kind=["a", "B"]))
    assert "Known: 'a', 'b'" in str(caught.value)
    with pytest.raises(DataError, match="'kind' is missing in 1 of 2 rows, first in row 2"):
        FITTED.transform(change(kind=["a", None]))
    with pytest.raises(DataError, match="'price'.*row 1 .*'much'"):
        PRICE.transform(change(price=["much"]))
    with pytest.raises(DataError, match="'kind' is not a column"):
        FITTED.transform(Table.from_columns({"kinds": ["a"]}))


def test_fitting_needs_rows_that_vary() -> None:
    with pytest.raises(DataError, match="no rows"):
        Preprocessor.fit(TRAIN.rows([]), PLAN)
    with pytest.raises(DataError, match=r"'kind' has only \['b'\]"):
        Preprocessor.fit(TRAIN.rows([0, 2]), PLAN)
    table = Table.from_columns({"x": [1.0] * 10 + [2.0] * 10, "y": list("ab") * 10})
    with pytest.raises(DataError, match="No column varies in the 10 rows.*'x'"):
        Preprocessor.fit(table.rows(range(10)), decide_columns(table, "y"))
    plan = decide_columns(TRAIN, "price", task="regression")
    with pytest.raises(DataError, match="'price' does not vary in the 2 rows"):
        Preprocessor.fit(TRAIN.rows([0, 6]), plan)


def test_outputs_of_the_wrong_kind() -> None:
    with pytest.raises(IndexRangeError, match="0 to 2.*0 to 1"):
        FITTED.labels([0, 2])
    with pytest.raises(ShapeError, match="float64"):
        FITTED.labels(np.array([0.0]))
    with pytest.raises(ShapeError, match=r"\(3, 2\)"):
        PRICE.inverse_transform(np.zeros((3, 2)))
    with pytest.raises(DataError, match="classification"):
        FITTED.inverse_transform(np.zeros(3))
    with pytest.raises(DataError, match="regression"):
        PRICE.labels([0])

"""Trees: flatten, unflatten, map and paths over every kind of container."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, namedtuple
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd import tree
from retrograd.errors import ArgumentError

Point = namedtuple("Point", ["x", "y"])


@dataclasses.dataclass(frozen=True)
class Frozen:
    """A dataclass whose constructor must not be called with other leaves."""

    width: Any
    name: Any = "a"

    def __post_init__(self) -> None:
        if self.width is None:
            raise ValueError("no width")


class Names(list):
    """A list of another class."""


EXAMPLES: list[tuple[Any, list[Any], list[str]]] = [
    (5, [5], [""]),
    (None, [], []),
    ([], [], []),
    ({}, [], []),
    ({"b": 1, "a": 2}, [2, 1], ["a", "b"]),
    ([1, (2, 3), [4]], [1, 2, 3, 4], ["0", "1.0", "1.1", "2.0"]),
    (Point(1, [2]), [1, 2], ["x", "y.0"]),
    (Frozen(1, "n"), [1, "n"], ["width", "name"]),
    ({"layers": [{"w": 1}, None, {"w": 2}]}, [1, 2], ["layers.0.w", "layers.2.w"]),
    ({2: "two", 1: "one"}, ["two", "one"], ["2", "1"]),
    (Names([1, 2]), [1, 2], ["0", "1"]),
    (OrderedDict(a=2, b=1), [2, 1], ["a", "b"]),
    ("text", ["text"], [""]),
    ({1, 2}, [{1, 2}], [""]),
]


@pytest.mark.parametrize(("value", "leaves", "paths"), EXAMPLES, ids=lambda item: repr(item)[:30])
def test_leaves_paths_and_back(value: Any, leaves: list[Any], paths: list[str]) -> None:
    found, structure = tree.flatten(value)
    assert found == leaves == tree.leaves(value)
    assert tree.paths(value) == paths
    assert structure.count == len(leaves)
    rebuilt = tree.unflatten(structure, found)
    assert rebuilt == value and type(rebuilt) is type(value)


NESTED = st.recursive(
    st.integers() | st.none() | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.builds(Point, inner, inner)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(NESTED)
def test_flatten_and_unflatten_are_inverse(value: Any) -> None:
    leaves, structure = tree.flatten(value)
    assert tree.unflatten(structure, leaves) == value
    assert len(tree.paths(value)) == len(leaves)
    assert tree.map(lambda leaf: leaf, value) == value
    replaced, same = tree.flatten(tree.unflatten(structure, list(range(len(leaves)))))
    assert replaced == list(range(len(leaves))) and same == structure
    assert hash(same) == hash(structure)


def test_equal_structures_and_unequal_ones() -> None:
    structure = tree.flatten({"a": 1, "b": [2, 3]})[1]
    assert structure == tree.flatten({"b": [5, 6], "a": 7})[1]
    for other in ({"a": 1, "b": [2]}, {"a": 1, "b": (2, 3)}, {"a": 1, "c": [2, 3]}, [1, 2, 3]):
        assert structure != tree.flatten(other)[1]


def test_map_over_several_trees() -> None:
    first, second = {"a": 1, "b": (2, None)}, {"b": (20, None), "a": 10}
    assert tree.map(lambda x, y: x + y, first, second) == {"a": 11, "b": (22, None)}
    with pytest.raises(ArgumentError, match=r"Tree 3 .* \['a', 'c'\].* \['a', 'b.0'\]"):
        tree.map(lambda x, y, z: x, first, second, {"a": 1, "c": 2})
    with pytest.raises(ArgumentError, match="structure"):
        tree.map(lambda x, y: x, [1, 2], (1, 2))


def test_a_wrong_number_of_leaves() -> None:
    structure = tree.flatten([1, 2])[1]
    for leaves in ([1], [1, 2, 3], []):
        with pytest.raises(ArgumentError, match=f"2 leaves, received {len(leaves)}"):
            tree.unflatten(structure, leaves)


def test_dataclasses_are_rebuilt_without_their_constructor() -> None:
    structure = tree.flatten(Frozen(1))[1]
    assert tree.unflatten(structure, [None, "b"]).width is None


def test_stateful_objects_and_classes_are_leaves() -> None:
    class Owner(tree.Stateful):
        """Nothing in it."""

    owner = Owner()
    assert tree.leaves([owner, Frozen]) == [owner, Frozen]


def test_a_rebuilt_dict_is_iterated_like_the_first() -> None:
    first = {"b": 1, "a": {"d": 2, "c": 3}}
    leaves, structure = tree.flatten(first)
    rebuilt = tree.unflatten(structure, leaves)
    assert list(rebuilt) == ["b", "a"] and list(rebuilt["a"]) == ["d", "c"]
    # The order is no part of the structure: trees with the same keys go together.
    assert tree.flatten({"a": {"c": 3, "d": 2}, "b": 1})[1] == structure
    assert tree.map(lambda x, y: (x, y), first, {"a": {"c": 6, "d": 5}, "b": 4}) == {
        "b": (1, 4),
        "a": {"d": (2, 5), "c": (3, 6)},
    }

"""A function that is traced again says which argument was the reason."""

from __future__ import annotations

import logging
import warnings
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn, optim
from retrograd.errors import RetraceWarning
from retrograd.staging import retraces

Pair = namedtuple("Pair", ["first", "second"])


@dataclass
class Settings:
    rate: Any
    name: str


class Scale:
    """An object without a structure: part of the program."""

    def __repr__(self) -> str:
        return "Scale()"


def ones(*shape: int) -> Any:
    return rg.ones(shape)


def reasons(*calls: tuple[Any, ...]) -> list[str]:
    """Why the calls after the first were traced again."""

    @rg.compile
    def function(x: Any, option: Any = None) -> Any:
        return rg.tree.leaves(x)[0] if not isinstance(x, nn.Module) else x(ones(2, 3))

    for call in calls:
        function(*call)
    assert len(function.retraces) == function.trace_count - 1
    return [str(difference) for retrace in function.retraces for difference in retrace.differences]


CHANGES: list[tuple[str, Any, Any, list[str]]] = [
    ("shape", ones(64, 784), ones(63, 784), ["x: float32[64, 784] before, float32[63, 784] now"]),
    (
        "dtype",
        ones(2),
        ones(2).astype("float64"),
        ["x: float32[2] before, float64[2] now"],
    ),
    ("form", ones(2), np.ones(2, np.float32), ["x: float32[2] before, NumPy float32[2] now"]),
    ("number", ones(2), 1.5, ["x: float32[2] before, a Python float now"]),
    ("kind of number", 1, 1.5, ["x: a Python int before, a Python float now"]),
    ("list", [ones(2), ones(2)], [ones(2), ones(3)], ["x[1]: float32[2] before, float32[3] now"]),
    ("longer list", [ones(2)], [ones(2), ones(2)], ["x[1]: float32[2] is new"]),
    ("shorter list", [ones(2), ones(2)], [ones(2)], ["x[1]: float32[2] is gone"]),
    ("list or tuple", [ones(2)], (ones(2),), ["x: a list before, a tuple now"]),
    (
        "new key",
        {"image": ones(2)},
        {"image": ones(2), "mask": {"a": ones(2), "b": ones(3)}},
        ["x['mask']: a dict is new"],
    ),
    ("key gone", {"a": ones(2), "b": ones(2)}, {"a": ones(2)}, ["x['b']: float32[2] is gone"]),
    (
        "order of keys",
        {"a": ones(2), "b": ones(2)},
        {"b": ones(2), "a": ones(2)},
        ["x: keys in the order 'a', 'b' before, keys in the order 'b', 'a' now"],
    ),
    (
        "dataclass",
        Settings(ones(2), "fast"),
        Settings(ones(3), "slow"),
        ["x.rate: float32[2] before, float32[3] now", "x.name: 'fast' before, 'slow' now"],
    ),
    (
        "named tuple",
        Pair(ones(2), ones(2)),
        Pair(ones(2), ones(1)),
        ["x.second: float32[2] before, float32[1] now"],
    ),
    (
        "object",
        [ones(1), Scale()],
        [ones(1), Scale()],
        ["x[1]: Scale Scale() before, another Scale Scale() now"],
    ),
]


@pytest.mark.parametrize(
    ("name", "before", "now", "expected"), CHANGES, ids=[c[0] for c in CHANGES]
)
def test_the_argument_is_named(name: str, before: Any, now: Any, expected: list[str]) -> None:
    assert reasons((before,), (now,)) == expected


def test_a_static_argument_is_named_with_its_values() -> None:
    assert reasons((ones(1), True), (ones(1), False), (ones(1), "fast")) == [
        "option: True before, False now",
        "option: False before, 'fast' now",
    ]


def test_the_most_similar_call_is_compared_with() -> None:
    found = reasons((ones(2), True), (ones(3), False), (ones(2), False))
    assert len(found) == 3  # both for the second call, one for the third


class Stack(nn.Module):
    def __init__(self, width: int) -> None:
        self.layers = [nn.Linear(3, 3), nn.Linear(3, width)]
        self.training_only = True

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


def test_paths_lead_into_modules() -> None:
    found = reasons((Stack(4),), (Stack(5),))
    assert "x.layers[1].weight: float32[3, 4] before, float32[3, 5] now" in found
    assert "x.layers[1].bias: float32[4] before, float32[5] now" in found
    changed = Stack(4)
    changed.training_only = False
    assert reasons((Stack(4),), (changed,)) == ["x.training_only: True before, False now"]


def test_a_model_in_another_mode_is_the_reason() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))

    @rg.compile
    def predict(model: Any, x: Any) -> Any:
        return model(x)

    predict(model, ones(2, 3))
    model.eval()
    predict(model, ones(2, 3))
    (retrace,) = predict.retraces
    assert len(retrace.differences) == 3  # the model and both layers
    assert str(retrace).endswith("model._training: True before, False now (and 2 more places)")


def test_a_long_list_of_reasons_is_cut() -> None:
    @rg.compile
    def first(xs: Any) -> Any:
        return xs[0]

    first([ones(n) for n in range(1, 20)])
    first([ones(n + 1) for n in range(1, 20)])
    (retrace,) = first.retraces
    assert len(retrace.differences) == 19
    assert str(retrace).count(" before, ") == retraces.MOST_SHOWN
    assert str(retrace).endswith("; and 13 more differences")


def test_tied_and_untied_arrays_are_told_apart() -> None:
    def tie(same: bool) -> Stack:
        stack = Stack(3)
        if same:
            stack.layers[1].weight = stack.layers[0].weight
        return stack

    assert reasons((tie(False),), (tie(True),)) == [
        "x.layers[1].weight: float32[3, 3] before, the same Array as x.layers[0].weight now"
    ]


def test_calls_that_are_known_give_no_reason() -> None:
    model, optimizer = nn.Linear(3, 2), optim.Adam(1e-3)

    @rg.compile
    def step(model: Any, optimizer: Any, x: Any) -> Any:
        value, gradients = rg.value_and_grad(lambda m: m(x).sum())(model)
        optimizer.update(model, gradients)
        return value

    for _ in range(3):
        step(model, optimizer, ones(4, 3))
    assert step.trace_count == 1 and step.retraces == []


def test_keywords_and_further_arguments_have_names() -> None:
    @rg.compile
    def function(*arguments: Any, scale: Any = 1.0) -> Any:
        return arguments[0] * scale

    function(ones(2), ones(3), scale=2.0)
    function(ones(2), ones(4), scale=2)
    assert [d.path for d in function.retraces[0].differences] == ["argument 2", "scale"]


def test_a_retrace_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    @rg.compile
    def double(x: Any) -> Any:
        return x * 2.0

    with caplog.at_level(logging.INFO, logger="retrograd"):
        double(ones(2))
        assert not caplog.records
        double(ones(3))
        double(ones(2))
    (record,) = caplog.records
    assert record.levelno == logging.INFO and record.name == "retrograd"
    assert record.getMessage() == (
        "double is traced again (program 2): x: float32[2] before, float32[3] now"
    )


def test_one_warning_where_an_argument_keeps_changing() -> None:
    @rg.compile
    def double(x: Any, y: Any) -> Any:
        return x * 2.0, y

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for size in range(1, retraces.MANY + 2):
            double(ones(size), ones(1))
        assert not caught
        for size in range(100, 110):
            double(ones(size), ones(1))
    (warning,) = caught
    assert warning.category is RetraceWarning
    assert warning.filename == __file__, "the user's line is shown"
    message = str(warning.message)
    assert message.startswith("double was traced again 9 times for one argument")
    assert "x: float32[9] before, float32[100] now" in message and "double.retraces" in message


def test_what_is_kept_has_a_bound() -> None:
    history = rg.compile(lambda x: x)._history
    assert history.retraces.maxlen == retraces.MOST_KEPT
    assert history._known.maxlen == retraces.MOST_KNOWN


def test_a_call_that_fails_is_no_reason() -> None:
    @rg.compile
    def fragile(x: Any) -> Any:
        return x @ rg.ones((3, 2))

    run: Callable[..., Any] = fragile
    with pytest.raises(rg.RetrogradError):
        run(ones(2, 4))
    run(ones(2, 3))
    assert fragile.trace_count == 1 and fragile.retraces == []

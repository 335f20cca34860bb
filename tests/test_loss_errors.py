"""What bad input of the losses gets, and the losses by name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import errors, losses
from retrograd.losses import LOSSES

CLASS_WEIGHT = np.array([0.5, 2.0, 1.25])


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("labels", "message", "fix"),
    [
        ([0, 1, 3, 2], "label 3 .* out of range for 3 classes", "4 outputs"),
        ([1, 2, 3, 2], "label 3 .*valid are 0 to 2.*; 1 of 4", "count from 1"),
        ([0, -1, 0, 0], "label -1 .at 1. is out of range", "sample_weight of 0"),
    ],
)
def test_labels_out_of_range(labels: list[int], message: str, fix: str, compiled: bool) -> None:
    outputs, given = np.zeros((4, 3)), np.array(labels)
    wrong = next(label for label in labels if not 0 <= label < 3)
    for weight in (None, CLASS_WEIGHT):

        def loss(x: Any, y: Any, weight: Any = weight) -> Any:
            return losses.cross_entropy(x, y, class_weight=weight)

        with pytest.raises(errors.IndexRangeError) as raised:
            (rg.compile(loss) if compiled else loss)(outputs, given)
        assert f" {wrong} " in str(raised.value)
        assert "valid are 0 to 2" in str(raised.value)
        assert f"where: {__file__}" in str(raised.value)
        if not compiled:
            assert raised.match(message)
            assert fix in str(raised.value.fix)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.zeros(4), errors.DTypeError, r"integers from 0 to 2 .*float64.*astype\('int32'\)"),
        (np.zeros(4, bool), errors.DTypeError, "integers from 0 to 2 .*received bool"),
        (np.zeros((4, 1), int), errors.ShapeError, r"need labels of shape \(4,\).*labels\[:, 0\]"),
        (np.zeros((4, 3), int), errors.ShapeError, r"argmax\(-1\)"),
        (np.zeros((2, 2), int), errors.ShapeError, r"reshape\(\(4,\)\)"),
        (np.zeros(3, int), errors.ShapeError, "one label for each row"),
        (np.full((4, 3), 1.5), errors.IndexRangeError, r"probabilities; 1.5 at \(0, 0\)"),
        (np.full((4, 3), np.nan), errors.IndexRangeError, "nan at"),
        (np.full((4, 3), -0.1), errors.IndexRangeError, "outside"),
        ("cat", errors.ArgumentTypeError, "received str"),
    ],
)
def test_labels_that_do_not_fit(labels: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"(?s){message}"):
        losses.cross_entropy(np.zeros((4, 3)), labels)


def test_logits_without_classes() -> None:
    with pytest.raises(errors.ShapeError, match="always 0.*(?s:.*)binary_cross_entropy"):
        losses.cross_entropy(np.zeros((4, 1)), np.zeros(4, int))
    with pytest.raises(errors.ShapeError, match="axis of classes"):
        losses.cross_entropy(1.0, 0)
    with pytest.raises(errors.ShapeError, match="could be one row of probabilities"):
        losses.cross_entropy(np.zeros(4), np.zeros(4))
    with pytest.raises(errors.ShapeError, match=r"need labels of shape \(\), received \(4,\)"):
        losses.cross_entropy(np.zeros(4), np.zeros(4, int))
    assert losses.cross_entropy(np.zeros(4), 2).shape == ()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"class_weight": [1.0, 2.0]}, errors.ShapeError, r"\(2,\), expected \(3,\)"),
        ({"class_weight": {0: 1.0}}, errors.ArgumentTypeError, "received a dict"),
        ({"class_weight": [1.0, -2.0, 1.0]}, errors.ArgumentError, "class_weight holds -2.0"),
        ({"label_smoothing": 1.0}, errors.ArgumentError, r"lies in \[0, 1\), received 1.0"),
        ({"label_smoothing": -0.1}, errors.ArgumentError, "received -0.1"),
        ({"label_smoothing": math.nan}, errors.ArgumentError, "received nan"),
        ({"label_smoothing": "much"}, errors.ArgumentTypeError, "received 'much'"),
        ({"reduction": "men"}, errors.ArgumentError, "Did you mean 'mean'"),
        ({"reduction": None}, errors.ArgumentError, "received None"),
    ],
)
def test_options_of_cross_entropy(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        losses.cross_entropy(np.zeros((4, 3)), np.zeros(4, int), **options)


def test_binary_targets_out_of_range() -> None:
    logits = np.zeros(3)
    with pytest.raises(errors.IndexRangeError, match=r"target -1.0 \(at 1\)") as raised:
        losses.binary_cross_entropy(logits, np.array([1.0, -1.0, 1.0]))
    assert "(targets + 1) / 2" in str(raised.value)
    with pytest.raises(errors.IndexRangeError, match=r"target 2 \(at 2\)"):
        losses.binary_cross_entropy(logits, np.array([0, 1, 2]))
    with pytest.raises(errors.IndexRangeError, match="index 2 .* size 2"):
        rg.compile(losses.binary_cross_entropy)(logits, np.array([0, 1, 2]))
    with pytest.raises(errors.IndexRangeError, match="nan"):
        losses.binary_cross_entropy(logits, np.full(3, np.nan))


@pytest.mark.parametrize("delta", [0.0, -1.0, math.inf, math.nan])
def test_delta_of_huber(delta: float) -> None:
    with pytest.raises(errors.ArgumentError, match="above 0"):
        losses.huber(np.zeros(2), np.zeros(2), delta=delta)
    with pytest.raises(errors.ArgumentTypeError, match="'wide'"):
        losses.huber(np.zeros(2), np.zeros(2), delta="wide")  # type: ignore[arg-type]


def test_get() -> None:
    for name, loss in LOSSES.items():
        assert losses.get(name) is loss
        assert getattr(losses, name) is loss
    own = lambda outputs, targets: outputs  # noqa: E731
    assert losses.get(own) is own
    with pytest.raises(errors.ArgumentError, match="Did you mean 'cross_entropy'"):
        losses.get("crossentropy")
    with pytest.raises(errors.ArgumentTypeError, match="received int"):
        losses.get(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "here"),
    [("bce", "binary_cross_entropy"), ("sparse_categorical_crossentropy", "cross_entropy")],
)
def test_names_of_other_libraries_are_known(name: str, here: str) -> None:
    with pytest.raises(errors.ArgumentError, match=f"no loss '{name}'. Here .*'{here}'"):
        losses.get(name)

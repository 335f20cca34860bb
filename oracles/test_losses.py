"""Values and gradients of all losses against PyTorch, with every option, in float64."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import retrograd as rg
from retrograd import losses

REDUCTIONS = ("mean", "sum", "none")
RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(8, 5)) * 3
LABELS = RANDOM.integers(0, 5, 8)
PROBABILITIES = RANDOM.dirichlet(np.ones(5), 8)
CLASS_WEIGHT = RANDOM.uniform(0.2, 3.0, 5)
SAMPLE_WEIGHT = RANDOM.uniform(0.0, 2.0, 8)
NUMBERS = RANDOM.normal(size=(8, 5)) * 3
EXTREME = LOGITS * 1e4


def tensor(value: Any) -> Any:
    return None if value is None else torch.tensor(value)


def compare(ours: Callable[[Any], Any], theirs: Callable[[Any], Any], x: np.ndarray) -> None:
    """The same values, and the same gradients of a weighted sum of them."""
    value, pull = rg.vjp(ours, x)
    leaf = torch.tensor(x, requires_grad=True)
    expected = theirs(leaf)
    np.testing.assert_allclose(value.numpy(), expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    cotangent = np.random.default_rng(1).normal(size=value.shape)
    gradient = pull(rg.array(np.asarray(cotangent)))
    gradient = gradient[0] if isinstance(gradient, tuple) else gradient
    (wanted,) = torch.autograd.grad(expected, leaf, torch.tensor(cotangent))
    np.testing.assert_allclose(gradient.numpy(), wanted.numpy(), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("logits", [LOGITS, EXTREME], ids=["usual", "extreme"])
@pytest.mark.parametrize(
    ("reduction", "class_weight", "smoothing"),
    list(itertools.product(REDUCTIONS, (None, CLASS_WEIGHT), (0.0, 0.1))),
)
def test_cross_entropy_of_labels(
    reduction: str, class_weight: Any, smoothing: float, logits: np.ndarray
) -> None:
    compare(
        lambda x: losses.cross_entropy(
            x, LABELS, class_weight=class_weight, label_smoothing=smoothing, reduction=reduction
        ),
        lambda x: functional.cross_entropy(
            x, tensor(LABELS), tensor(class_weight), reduction=reduction, label_smoothing=smoothing
        ),
        logits,
    )


@pytest.mark.parametrize(
    ("reduction", "class_weight", "smoothing"),
    list(itertools.product(REDUCTIONS, (None, CLASS_WEIGHT), (0.0, 0.1))),
)
def test_cross_entropy_of_probabilities(
    reduction: str, class_weight: Any, smoothing: float
) -> None:
    scale = 1.0
    if class_weight is not None and reduction == "mean":
        # PyTorch divides by the rows here (but not for labels); we divide by their weights always.
        scale = (PROBABILITIES @ class_weight).mean()
    compare(
        lambda x: (
            losses.cross_entropy(
                x,
                PROBABILITIES,
                class_weight=class_weight,
                label_smoothing=smoothing,
                reduction=reduction,
            )
            * scale
        ),
        lambda x: functional.cross_entropy(
            x,
            tensor(PROBABILITIES),
            tensor(class_weight),
            reduction=reduction,
            label_smoothing=smoothing,
        ),
        LOGITS,
    )


@pytest.mark.parametrize("class_weight", [None, CLASS_WEIGHT], ids=["plain", "weighted"])
def test_sample_weights(class_weight: Any) -> None:
    """PyTorch has none: the weighted mean is written out, with its losses for each row."""

    def theirs(x: Any) -> Any:
        each = functional.cross_entropy(x, tensor(LABELS), tensor(class_weight), reduction="none")
        rows = tensor(SAMPLE_WEIGHT)
        total = rows if class_weight is None else rows * tensor(class_weight)[tensor(LABELS)]
        return (rows * each).sum() / total.sum()

    compare(
        lambda x: losses.cross_entropy(
            x, LABELS, class_weight=class_weight, sample_weight=SAMPLE_WEIGHT
        ),
        theirs,
        LOGITS,
    )


def test_rows_of_weight_zero_are_ignored_ones() -> None:
    keep = np.array([1, 0, 1, 1, 0, 1, 1, 0])
    compare(
        lambda x: losses.cross_entropy(
            x, LABELS, class_weight=CLASS_WEIGHT, sample_weight=keep, label_smoothing=0.1
        ),
        lambda x: functional.cross_entropy(
            x,
            tensor(np.where(keep, LABELS, -100)),
            tensor(CLASS_WEIGHT),
            label_smoothing=0.1,
        ),
        LOGITS,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("logits", [LOGITS, EXTREME], ids=["usual", "extreme"])
@pytest.mark.parametrize(
    "targets", [PROBABILITIES, (PROBABILITIES > 0.2).astype(float)], ids=["soft", "hard"]
)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_binary_cross_entropy(
    targets: np.ndarray, logits: np.ndarray, reduction: str, smoothing: float
) -> None:
    smoothed = targets * (1.0 - smoothing) + 0.5 * smoothing
    compare(
        lambda x: losses.binary_cross_entropy(
            x, targets, reduction=reduction, label_smoothing=smoothing
        ),
        lambda x: functional.binary_cross_entropy_with_logits(
            x, tensor(smoothed), reduction=reduction
        ),
        logits,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_class_weights_are_those_of_the_positive_class(reduction: str) -> None:
    scale = 1.0
    if reduction == "mean":
        scale = (PROBABILITIES * 2.5 + (1.0 - PROBABILITIES)).mean()  # PyTorch counts elements
    compare(
        lambda x: (
            losses.binary_cross_entropy(
                x, PROBABILITIES, class_weight=[1.0, 2.5], reduction=reduction
            )
            * scale
        ),
        lambda x: functional.binary_cross_entropy_with_logits(
            x, tensor(PROBABILITIES), pos_weight=torch.tensor(2.5), reduction=reduction
        ),
        LOGITS,
    )


REGRESSION: dict[str, tuple[Any, Any]] = {
    "mse": (losses.mse, functional.mse_loss),
    "mae": (losses.mae, functional.l1_loss),
    "huber": (losses.huber, functional.huber_loss),
    "huber 0.3": (
        lambda x, y, **o: losses.huber(x, y, delta=0.3, **o),
        lambda x, y, **o: functional.huber_loss(x, y, delta=0.3, **o),
    ),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", REGRESSION)
def test_regression(name: str, reduction: str) -> None:
    ours, theirs = REGRESSION[name]
    targets = np.where(RANDOM.random(NUMBERS.shape) < 0.2, NUMBERS, LOGITS)  # some errors of 0
    compare(
        lambda x: ours(x, targets, reduction=reduction),
        lambda x: theirs(x, tensor(targets), reduction=reduction),
        NUMBERS,
    )


@pytest.mark.parametrize("name", REGRESSION)
def test_regression_with_sample_weights(name: str) -> None:
    ours, theirs = REGRESSION[name]
    rows = np.broadcast_to(SAMPLE_WEIGHT[:, None], NUMBERS.shape).copy()
    compare(
        lambda x: ours(x, LOGITS, sample_weight=SAMPLE_WEIGHT),
        lambda x: (theirs(x, tensor(LOGITS), reduction="none") * tensor(rows)).sum() / rows.sum(),
        NUMBERS,
    )

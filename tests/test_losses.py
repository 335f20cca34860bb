"""The losses: one contract for all of them, their values, and what bad input gets."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import errors, losses
from retrograd.losses import LOSSES
from retrograd.testing import check_gradients

Case = tuple[Callable[..., Any], np.ndarray, np.ndarray]

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(6, 3)) * 2
LABELS = np.array([2, 0, 1, 1, 2, 0])
PROBABILITIES = RANDOM.dirichlet(np.ones(3), 6)
NUMBERS = RANDOM.normal(size=(6, 2)) * 2
CLASS_WEIGHT = np.array([0.5, 2.0, 1.25])
SAMPLE_WEIGHT = np.array([1.0, 0.0, 2.0, 0.5, 1.0, 3.0])


def case(name: str, outputs: np.ndarray, targets: np.ndarray, **options: Any) -> Any:
    def call(outputs: Any, targets: Any, **more: Any) -> Any:
        return LOSSES[name](outputs, targets, **options, **more)

    return pytest.param((call, outputs, targets), id="-".join([name, *options, str(targets.dtype)]))


# Every registered loss stands here with all of its options.
CASES = [
    case("cross_entropy", LOGITS, LABELS),
    case("cross_entropy", LOGITS, LABELS.astype(np.uint8), class_weight=CLASS_WEIGHT),
    case("cross_entropy", LOGITS, LABELS, label_smoothing=0.1),
    case("cross_entropy", LOGITS, LABELS, label_smoothing=0.1, class_weight=CLASS_WEIGHT),
    case("cross_entropy", LOGITS, PROBABILITIES),
    case("cross_entropy", LOGITS, PROBABILITIES, label_smoothing=0.2, class_weight=CLASS_WEIGHT),
    case("cross_entropy", LOGITS.reshape(3, 2, 3), LABELS.reshape(3, 2)),
    case("binary_cross_entropy", LOGITS, PROBABILITIES),
    case("binary_cross_entropy", LOGITS[:, 0], LABELS % 2),
    case("binary_cross_entropy", LOGITS[:, 0], LABELS == 1, class_weight=[0.5, 3.0]),
    case("binary_cross_entropy", LOGITS, PROBABILITIES, label_smoothing=0.1),
    case(
        "binary_cross_entropy", LOGITS, PROBABILITIES, label_smoothing=0.1, class_weight=[0.5, 3.0]
    ),
    case("mse", NUMBERS, NUMBERS[::-1].copy()),
    case("mae", NUMBERS, NUMBERS[::-1].copy()),
    case("huber", NUMBERS, NUMBERS[::-1].copy()),
    case("huber", NUMBERS, NUMBERS[::-1].copy(), delta=0.3),
]


def test_every_registered_loss_is_put_through_the_contract() -> None:
    covered = {parameter.id.split("-")[0] for parameter in CASES}
    assert covered == set(LOSSES)


# --- the contract


@pytest.mark.parametrize("loss", CASES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("sample_weight", [None, SAMPLE_WEIGHT], ids=["plain", "weighted"])
def test_gradients_of_both_orders(loss: Case, reduction: str, sample_weight: Any) -> None:
    function, outputs, targets = loss
    weight = None if sample_weight is None else sample_weight[: len(outputs)]

    def of_outputs(x: Any) -> Any:
        return function(x, targets, reduction=reduction, sample_weight=weight)

    check_gradients(of_outputs, outputs)


@pytest.mark.parametrize("loss", CASES)
def test_gradient_by_floating_targets_and_by_weights(loss: Case) -> None:
    function, outputs, targets = loss
    if targets.dtype.kind == "f":
        check_gradients(lambda t: function(outputs, t), np.clip(targets, 0.3, 0.7), step=0.05)
    weight = np.linspace(0.5, 2.0, len(outputs))
    check_gradients(lambda w: function(outputs, targets, sample_weight=w), weight)


@pytest.mark.parametrize("loss", CASES)
def test_reductions_agree(loss: Case) -> None:
    function, outputs, targets = loss
    each = function(outputs, targets, reduction="none").numpy()
    total = float(function(outputs, targets, reduction="sum"))
    assert each.ndim >= 1
    np.testing.assert_allclose(each.sum(), total, rtol=1e-12)
    assert function(outputs, targets).shape == ()


@pytest.mark.parametrize("loss", CASES)
def test_integer_sample_weights_count_like_repeated_rows(loss: Case) -> None:
    function, outputs, targets = loss
    counts = np.array([2, 0, 1, 3, 1, 1][: len(outputs)])
    weighted = function(outputs, targets, sample_weight=counts)
    repeated = function(np.repeat(outputs, counts, 0), np.repeat(targets, counts, 0))
    np.testing.assert_allclose(float(weighted), float(repeated), rtol=1e-12)


@pytest.mark.parametrize("loss", CASES)
def test_sample_weights_of_elements_are_those_of_rows_spread_out(loss: Case) -> None:
    function, outputs, targets = loss
    shape = function(outputs, targets, reduction="none").shape
    rows = SAMPLE_WEIGHT[: len(outputs)]
    spread = np.broadcast_to(rows.reshape(-1, *(1,) * (len(shape) - 1)), shape)
    for reduction in ("mean", "sum", "none"):
        a = function(outputs, targets, reduction=reduction, sample_weight=rows)
        b = function(outputs, targets, reduction=reduction, sample_weight=spread)
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("loss", CASES)
def test_weights_of_zero_give_zero_and_no_gradient(loss: Case) -> None:
    function, outputs, targets = loss
    nothing = np.zeros(len(outputs))
    value, gradient = rg.value_and_grad(lambda x: function(x, targets, sample_weight=nothing))(
        outputs
    )
    assert float(value) == 0.0
    assert not gradient.numpy().any()


@pytest.mark.parametrize("loss", CASES)
def test_float32_stays_float32_and_is_near_float64(loss: Case) -> None:
    function, outputs, targets = loss
    exact = function(outputs, targets, sample_weight=SAMPLE_WEIGHT[: len(outputs)])
    narrow = function(  # float64 targets and weights do not widen the outputs
        outputs.astype(np.float32), targets, sample_weight=SAMPLE_WEIGHT[: len(outputs)]
    )
    assert exact.dtype == np.float64
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(float(narrow), float(exact), rtol=2e-6)


@pytest.mark.parametrize("loss", CASES)
def test_compiled_with_weights_gives_the_same_and_traces_once(loss: Case) -> None:
    function, outputs, targets = loss

    @rg.compile
    def run(x: Any, y: Any, weight: Any) -> Any:
        return rg.value_and_grad(lambda x: function(x, y, sample_weight=weight))(x)

    weight = SAMPLE_WEIGHT[: len(outputs)]
    for factor in (1.0, 0.5):
        value, gradient = run(outputs * factor, targets, weight)
        expected = rg.value_and_grad(lambda x: function(x, targets, sample_weight=weight))(
            outputs * factor
        )
        np.testing.assert_allclose(float(value), float(expected[0]), rtol=1e-14)
        np.testing.assert_allclose(gradient.numpy(), expected[1].numpy(), rtol=1e-13, atol=1e-16)
    assert run.trace_count == 1


@pytest.mark.parametrize("loss", CASES)
def test_bad_input_of_every_loss(loss: Case) -> None:
    function, outputs, targets = loss
    with pytest.raises(errors.ArgumentError, match="'mean', 'sum', 'none'.*'average'"):
        function(outputs, targets, reduction="average")
    with pytest.raises(errors.ShapeError, match="batch is empty"):
        function(outputs[:0], targets[:0])
    with pytest.raises(errors.DTypeError, match="come first and must be floating, received int"):
        function(np.round(outputs).astype(np.int32), targets)
    with pytest.raises(errors.ShapeError):
        function(outputs, targets[:-1])
    with pytest.raises(errors.ShapeError, match="sample_weight has shape .*expected one weight"):
        function(outputs, targets, sample_weight=np.ones(len(outputs) + 1))
    with pytest.raises(errors.ShapeError, match="sample_weight"):
        function(outputs, targets, sample_weight=2.0)
    for wrong in (-1.0, math.nan, math.inf):
        weight = np.ones(len(outputs))
        weight[1] = wrong
        with pytest.raises(errors.ArgumentError, match=r"sample_weight holds .* at \(1,\)"):
            function(outputs, targets, sample_weight=weight)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"cross_entropy"}))
@pytest.mark.parametrize("compiled", [False, True])
def test_a_column_against_a_row_is_an_error_with_the_exact_fix(name: str, compiled: bool) -> None:
    loss = rg.compile(LOSSES[name]) if compiled else LOSSES[name]
    column, row = np.ones((4, 1)), np.ones(4)
    with pytest.raises(errors.ShapeError, match=r"\(4, 1\) and targets \(4,\)") as raised:
        loss(column, row)
    assert "[:, 0] or targets[:, None]" in str(raised.value)
    assert f"where: {__file__}" in str(raised.value)
    with pytest.raises(errors.ShapeError) as raised:
        loss(row, column)
    assert "targets[:, 0] or " in str(raised.value)


# --- values


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x)
    return powers / powers.sum(-1, keepdims=True)


def test_cross_entropy_is_its_formula() -> None:
    each = -np.log(softmax(LOGITS))[np.arange(6), LABELS]
    np.testing.assert_allclose(float(losses.cross_entropy(LOGITS, LABELS)), each.mean())
    weights = CLASS_WEIGHT[LABELS]
    np.testing.assert_allclose(
        float(losses.cross_entropy(LOGITS, LABELS, class_weight=CLASS_WEIGHT)),
        (weights * each).sum() / weights.sum(),
    )
    both = weights * SAMPLE_WEIGHT
    np.testing.assert_allclose(
        float(
            losses.cross_entropy(
                LOGITS, LABELS, class_weight=CLASS_WEIGHT, sample_weight=SAMPLE_WEIGHT
            )
        ),
        (both * each).sum() / both.sum(),
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("class_weight", [None, CLASS_WEIGHT])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_labels_are_the_same_as_one_hot_probabilities(
    smoothing: float, class_weight: Any, reduction: str
) -> None:
    options: dict[str, Any] = {
        "label_smoothing": smoothing,
        "class_weight": class_weight,
        "reduction": reduction,
        "sample_weight": SAMPLE_WEIGHT,
    }
    a = losses.cross_entropy(LOGITS, LABELS, **options)
    b = losses.cross_entropy(LOGITS, np.eye(3)[LABELS], **options)
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-13)


def test_label_smoothing_spreads_the_target() -> None:
    smoothed = 0.9 * np.eye(3)[LABELS] + 0.1 / 3
    np.testing.assert_allclose(
        float(losses.cross_entropy(LOGITS, LABELS, label_smoothing=0.1)),
        -(smoothed * np.log(softmax(LOGITS))).sum(-1).mean(),
    )


def test_binary_cross_entropy_is_cross_entropy_of_two_classes() -> None:
    logits, labels = LOGITS[:, 0], LABELS % 2
    pair = np.stack([np.zeros(6), logits], -1)
    for options in ({}, {"label_smoothing": 0.2}, {"class_weight": [0.5, 3.0]}):
        np.testing.assert_allclose(
            float(losses.binary_cross_entropy(logits, labels, **options)),
            float(losses.cross_entropy(pair, labels, **options)),
            rtol=1e-13,
        )


def test_regression_losses_are_their_formulas() -> None:
    error = np.array([0.5, -1.0, 3.0, -2.0])
    zeros = np.zeros(4)
    np.testing.assert_allclose(losses.mse(error, zeros, reduction="none"), error**2)
    np.testing.assert_allclose(losses.mae(error, zeros, reduction="none"), abs(error))
    np.testing.assert_allclose(losses.huber(error, zeros, reduction="none"), [0.125, 0.5, 2.5, 1.5])
    np.testing.assert_allclose(
        losses.huber(error, zeros, delta=2.0, reduction="none"), [0.125, 0.5, 4.0, 2.0]
    )


def test_extreme_logits_in_float32() -> None:
    logits = np.array([[1e4, 0.0, -1e4], [0.0, 0.0, 0.0]], np.float32)
    value, gradient = rg.value_and_grad(lambda x: losses.cross_entropy(x, [2, 0], reduction="sum"))(
        logits
    )
    np.testing.assert_allclose(float(value), 2e4 + math.log(3), rtol=1e-6)
    np.testing.assert_allclose(
        gradient.numpy(), [[1, 0, -1], [-2 / 3, 1 / 3, 1 / 3]], rtol=1e-6, atol=1e-7
    )
    x = np.array([1e4, -1e4, 1e4, -1e4, 20.0], np.float32)
    t = np.array([0, 1, 1, 0, 1])
    each = losses.binary_cross_entropy(x, t, reduction="none").numpy()
    np.testing.assert_allclose(each, [1e4, 1e4, 0, 0, math.log1p(math.exp(-20))], rtol=1e-6)
    for options in ({}, {"class_weight": [1.0, 1.0]}):
        slope = rg.grad(
            lambda x, o=options: losses.binary_cross_entropy(x, t, reduction="sum", **o)
        )(x)
        np.testing.assert_allclose(slope.numpy()[:4], [1, -1, 0, 0])


def test_a_masked_class_does_not_spoil_the_others() -> None:
    logits = np.array([[0.0, 1.0, -np.inf]])
    value, gradient = rg.value_and_grad(lambda x: losses.cross_entropy(x, [1]))(logits)
    np.testing.assert_allclose(float(value), math.log1p(math.exp(-1)))
    assert np.isfinite(gradient.numpy()).all()
    assert gradient.numpy()[0, 2] == 0


def test_derivatives_at_the_corners() -> None:
    """At a logit or an error of exactly 0, where formulas with |x| go wrong."""
    zero = np.zeros(1)
    for options in ({}, {"class_weight": [1.0, 1.0]}):
        function = lambda x, o=options: losses.binary_cross_entropy(x, [1.0], **o)  # noqa: E731
        assert float(rg.grad(function)(zero)[0]) == -0.5
        assert float(rg.hessian(function)(zero)[0, 0]) == 0.25
    assert float(rg.hessian(lambda x: losses.huber(x, zero))(zero)[0, 0]) == 1.0
    assert float(rg.grad(lambda x: losses.mae(x, zero))(zero)[0]) == 0.0


def test_nan_is_not_hidden() -> None:
    for name, loss in LOSSES.items():
        outputs = np.array([[np.nan, 1.0], [0.0, 1.0]])
        targets = np.array([0, 1]) if name == "cross_entropy" else np.ones((2, 2))
        assert math.isnan(float(loss(outputs, targets)))


def test_a_perfect_loss_is_not_minus_zero() -> None:
    value = losses.cross_entropy(np.array([[1000.0, 0.0]]), [0])
    assert str(float(value)) == "0.0"

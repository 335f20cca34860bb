"""The metrics: one contract for all of them, values frozen from scikit-learn, and bad input."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import errors, metrics
from retrograd.metrics import METRICS, Metric

LOGITS = np.array(
    [
        [3, 2, 1, 0], [3, 1, 0, 2], [3, 1, 0, 2], [1, 0, 2, 3], [3, 0, 2, 1], [2, 3, 0, 1],
        [2, 0, 1, 3], [2, 1, 3, 0], [3, 0, 2, 1], [3, 0, 1, 2], [1, 2, 0, 3], [2, 3, 0, 1],
    ],
    np.float32,
)  # fmt: skip
LABELS = np.array([1, 0, 0, 2, 0, 1, 0, 0, 0, 2, 1, 2])  # class 3 never occurs, but is chosen
WEIGHTS = np.array([1, 2, 0, 1, 3, 1, 0.5, 1, 2, 1, 1, 4])
SCORES = np.array([4, 1, -4, 4, -3, 3, 2, 0, 0, 2, 0, 3], np.float32) / 2
BINARY_LABELS = np.array([1, 1, 0, 0, 1, 0, 0, 0, 1, 1, 0, 1])
TRUTH = np.array([1, 2, -2, -4, 3, -2, -2, 0, 4, 1, -3, 1], np.float32) / 2

# metric, value, value with WEIGHTS: from scikit-learn 1.9 (zero_division=0).
FROZEN = [
    (metrics.Accuracy(), 0.4166666666666667, 0.45714285714285713),
    (metrics.BalancedAccuracy(), 0.3333333333333333, 0.3856209150326797),
    (metrics.Precision("macro"), 0.29166666666666663, 0.24444444444444446),
    (metrics.Precision("micro"), 0.4166666666666667, 0.45714285714285713),
    (metrics.Precision("weighted"), 0.4583333333333333, 0.41206349206349213),
    (metrics.Recall("macro"), 0.25, 0.2892156862745098),
    (metrics.Recall("micro"), 0.4166666666666667, 0.45714285714285713),
    (metrics.Recall("weighted"), 0.4166666666666667, 0.45714285714285713),
    (metrics.F1("macro"), 0.26666666666666666, 0.2625),
    (metrics.F1("micro"), 0.4166666666666667, 0.45714285714285713),
    (metrics.F1("weighted"), 0.43333333333333335, 0.4314285714285715),
    (metrics.TopK(1), 0.4166666666666667, 0.45714285714285713),
    (metrics.TopK(2), 0.8333333333333334, 0.7142857142857143),
    (metrics.TopK(3), 0.9166666666666666, 0.7714285714285715),
]
FROZEN_BINARY = [
    (metrics.Accuracy(), 0.5833333333333334, 0.5714285714285714),
    (metrics.Precision(), 0.5714285714285714, 0.7619047619047619),
    (metrics.Recall(), 0.6666666666666666, 0.6153846153846154),
    (metrics.F1(), 0.6153846153846154, 0.6808510638297872),
    (metrics.BalancedAccuracy(), 0.5833333333333333, 0.5299145299145299),
]
FROZEN_REGRESSION = [
    (metrics.R2(), -1.6844014510278114, -2.1319399085564994),
    (metrics.MAE(), 1.625, 1.6571428571428573),
    (metrics.MSE(), 3.8541666666666665, 3.914285714285714),
    (metrics.RMSE(), 1.963203164898291, 1.9784553859730358),
]
REGRESSION = ("r2", "mae", "mse", "rmse")


def all_metrics() -> list[Any]:
    """Every registered metric, and every class with all averages, with data that fit it."""
    found: list[Metric] = [metrics.get(name) for name in METRICS if name != "top_k"]
    found += [metrics.TopK(2), metrics.Accuracy(multilabel=True)]
    for kind in (metrics.Precision, metrics.Recall, metrics.F1):
        found += [kind(average) for average in ("binary", "macro", "micro", "weighted")]
    cases = []
    for metric in found:
        for weight in (None, WEIGHTS):
            suffix = "plain" if weight is None else "weighted"
            if metric.name in REGRESSION:
                data = [(SCORES, TRUTH), (LOGITS, LOGITS[::-1].copy())]
            elif getattr(metric, "average", "") == "binary":
                data = [(SCORES, BINARY_LABELS)]
            elif metric == metrics.Accuracy(multilabel=True):
                data = [(LOGITS - 1.5, (LOGITS[::-1] > 1).astype(np.int32))]
            elif isinstance(metric, metrics.TopK):
                data = [(LOGITS, LABELS)]
            else:
                data = [
                    (LOGITS, LABELS),
                    (SCORES, BINARY_LABELS),
                    (SCORES[:, None], BINARY_LABELS[:, None].astype(np.float64)),
                ]
            for outputs, targets in data:
                name = f"{metric!r}-{outputs.shape}-{suffix}"
                cases.append(pytest.param(metric, outputs, targets, weight, id=name))
    return cases


CASES = all_metrics()
contract = pytest.mark.parametrize(("metric", "outputs", "targets", "weight"), CASES)


def test_every_metric_is_put_through_the_contract() -> None:
    covered = {type(case.values[0]) for case in CASES}
    public = {
        value
        for name in metrics.__all__
        if inspect.isclass(value := getattr(metrics, name)) and value is not Metric
    }
    assert covered == public == set(METRICS.values())


# --- the contract


@contract
def test_form(metric: Metric, outputs: Any, targets: Any, weight: Any) -> None:
    assert metric.better in ("higher", "lower")
    assert metrics.get(metric.name).name == metric.name
    value = metric(outputs, targets, weight)
    assert type(value) is float
    assert math.isfinite(value)
    for name, total in metric.measure(outputs, targets, weight).items():
        assert isinstance(total, rg.Array), name
        assert total.dtype == np.float64, name


@contract
def test_batches_add_up(metric: Metric, outputs: Any, targets: Any, weight: Any) -> None:
    total: dict[str, Any] = {}
    for start, stop in ((0, 1), (1, 5), (5, 12)):
        part = metric.measure(
            outputs[start:stop], targets[start:stop], None if weight is None else weight[start:stop]
        )
        total = {name: total.get(name, 0.0) + value for name, value in part.items()}
    whole = metric(outputs, targets, weight)
    assert metric.result(total) == pytest.approx(whole, rel=1e-13, abs=1e-15)
    arrays = {name: value.numpy() for name, value in total.items()}
    assert metric.result(arrays) == metric.result(total)


@contract
def test_compiled_sums_are_the_same(
    metric: Metric, outputs: Any, targets: Any, weight: Any
) -> None:
    run = rg.compile(lambda x, y, w: metric.measure(x, y, w))
    for factor in (1.0, -1.0):
        given = np.asarray(outputs * factor, outputs.dtype)
        sums = run(given, targets, weight)
        for name, value in metric.measure(given, targets, weight).items():
            np.testing.assert_array_equal(sums[name].numpy(), value.numpy())
    assert run.trace_count == 1


@contract
def test_weights_count_like_repeated_rows(
    metric: Metric, outputs: Any, targets: Any, weight: Any
) -> None:
    counts = np.array([2, 0, 1, 3, 1, 1, 1, 2, 1, 1, 1, 1])
    repeated = metric(np.repeat(outputs, counts, 0), np.repeat(targets, counts, 0))
    assert metric(outputs, targets, counts) == pytest.approx(repeated, rel=1e-13)


@contract
def test_nan_outputs_give_nan(metric: Metric, outputs: Any, targets: Any, weight: Any) -> None:
    spoiled = np.array(outputs)
    spoiled.reshape(len(spoiled), -1)[3, -1] = np.nan
    assert math.isnan(metric(spoiled, targets, weight))


@contract
def test_nothing_to_measure(metric: Metric, outputs: Any, targets: Any, weight: Any) -> None:
    assert math.isnan(metric(outputs, targets, np.zeros(12)))
    with pytest.raises(errors.ShapeError, match="batch is empty"):
        metric(outputs[:0], targets[:0])


@contract
def test_bad_input_of_every_metric(metric: Metric, outputs: Any, targets: Any, weight: Any) -> None:
    with pytest.raises(errors.ShapeError):
        metric(outputs, targets[:-1])
    with pytest.raises(errors.ShapeError, match="sample_weight"):
        metric(outputs, targets, np.ones(13))
    with pytest.raises(errors.ArgumentError, match="sample_weight holds -1.0"):
        metric(outputs, targets, -np.ones(12))
    with pytest.raises(errors.DTypeError, match="come first and must be floating"):
        metric(outputs.astype(np.int32), targets)
    column, row = np.ones((4, 1), np.float32), np.array([1, 0, 1, 0])
    if not isinstance(metric, metrics.TopK):
        for outputs, targets in ((column, row), (column[:, 0], row[:, None])):
            with pytest.raises(errors.ShapeError, match="must have one shape") as raised:
                metric(outputs, targets)
            assert "[:, 0] or " in str(raised.value.fix)


# --- values


@pytest.mark.parametrize(("metric", "plain", "weighted"), FROZEN)
def test_values_of_classes(metric: Metric, plain: float, weighted: float) -> None:
    assert metric(LOGITS, LABELS) == pytest.approx(plain, rel=1e-12)
    assert metric(LOGITS, LABELS, WEIGHTS) == pytest.approx(weighted, rel=1e-12)


@pytest.mark.parametrize(("metric", "plain", "weighted"), FROZEN_BINARY)
def test_values_of_yes_or_no(metric: Metric, plain: float, weighted: float) -> None:
    assert metric(SCORES, BINARY_LABELS) == pytest.approx(plain, rel=1e-12)
    assert metric(SCORES, BINARY_LABELS, WEIGHTS) == pytest.approx(weighted, rel=1e-12)


@pytest.mark.parametrize(("metric", "plain", "weighted"), FROZEN_REGRESSION)
def test_values_of_numbers(metric: Metric, plain: float, weighted: float) -> None:
    assert metric(SCORES, TRUTH) == pytest.approx(plain, rel=1e-12)
    assert metric(SCORES, TRUTH, WEIGHTS) == pytest.approx(weighted, rel=1e-12)


def test_accuracy_of_several_decisions() -> None:
    outputs = np.array([[1.0, -1.0], [2.0, 3.0]])
    targets = np.array([[1, 1], [0, 1]])
    assert metrics.Accuracy(multilabel=True)(outputs, targets) == 0.5
    rows = np.array([[0.9, 0.1], [0.8, 0.2]])
    assert metrics.Accuracy(multilabel=False)(outputs, rows) == 0.5
    for metric in (metrics.Accuracy(), metrics.F1()):
        with pytest.raises(errors.ArgumentError, match="could be 2 yes-or-no decisions"):
            metric(outputs, rows)
    with pytest.raises(errors.DTypeError, match=r"argmax\(-1\)"):
        metrics.Accuracy(multilabel=False)(outputs, targets)
    with pytest.raises(errors.ShapeError, match="must have one shape"):
        metrics.Accuracy(multilabel=True)(outputs, targets[:, 0])


def test_sequences_are_rows_too() -> None:
    outputs, labels = LOGITS.reshape(3, 4, 4), LABELS.reshape(3, 4)
    for metric in (metrics.Accuracy(), metrics.TopK(2), metrics.F1()):
        assert metric(outputs, labels) == metric(LOGITS, LABELS)
        per_row = np.array([1.0, 0.0, 2.0])
        expected = metric(LOGITS, LABELS, np.repeat(per_row, 4))
        assert metric(outputs, labels, per_row) == pytest.approx(expected, rel=1e-13)


def test_ties_go_to_the_first_class() -> None:
    equal = np.zeros((3, 3))
    assert metrics.Accuracy()(equal, [0, 1, 2]) == pytest.approx(1 / 3)
    assert metrics.TopK(1)(equal, [0, 1, 2]) == pytest.approx(1 / 3)
    assert metrics.TopK(2)(equal, [0, 1, 2]) == pytest.approx(2 / 3)
    assert metrics.Accuracy()(np.zeros(2), [0, 1]) == 0.5  # a logit of 0 is a no


def test_classes_that_do_not_occur_are_left_out_of_the_mean() -> None:
    """A class that is neither chosen nor true has no quotient; 0 would lower the mean."""
    wider = np.concatenate([LOGITS, np.full((12, 2), -9, np.float32)], axis=1)
    for name in ("balanced_accuracy", "precision", "recall", "f1"):
        metric = metrics.get(name)
        assert metric(wider, LABELS) == metric(LOGITS, LABELS)


def test_quotients_without_a_denominator_are_zero() -> None:
    never = np.array([-1.0, -1.0, -1.0])
    assert metrics.Precision()(never, [1, 0, 1]) == 0.0
    assert metrics.Recall()(-never, [0, 0, 0]) == 0.0
    assert metrics.F1()(never, [0, 0, 0]) == 0.0


def test_confusion_matrix() -> None:
    matrix = metrics.confusion_matrix(LOGITS, LABELS)
    expected = np.zeros((4, 4))
    np.add.at(expected, (LABELS, LOGITS.argmax(1)), 1)
    np.testing.assert_array_equal(matrix.numpy(), expected)
    weighted = rg.compile(metrics.confusion_matrix)(LOGITS, LABELS, WEIGHTS).numpy()
    expected[:] = 0
    np.add.at(expected, (LABELS, LOGITS.argmax(1)), WEIGHTS)
    np.testing.assert_array_equal(weighted, expected)


def test_r2_of_constant_and_of_far_targets() -> None:
    r2 = metrics.R2()
    assert r2(np.full(5, 0.1), np.full(5, 0.1)) == 1.0
    assert r2(np.arange(5.0), np.full(5, 0.1)) == 0.0
    assert math.isnan(r2(np.ones(1), np.ones(1)))
    spread = np.linspace(-1, 1, 100)
    assert r2(1e4 + 0.5 * spread, 1e4 + spread) == pytest.approx(0.75, rel=1e-6)


def test_sums_do_not_lose_rows_in_float32() -> None:
    """16,777,216 + 1 is 16,777,216 in float32: counts go on beyond it."""
    accuracy = metrics.Accuracy()
    sums = accuracy.measure(np.ones(1, np.float32), [1], np.array([2.0**24], np.float32))
    more = accuracy.measure(np.ones(1, np.float32), [1])
    assert float(sums["weight"].numpy() + more["weight"].numpy()) == 2**24 + 1
    errors_of_many = metrics.MAE()(np.full(10**5, 0.1, np.float32), np.zeros(10**5))
    assert errors_of_many == pytest.approx(float(np.float32(0.1)), rel=1e-12)


def test_rmse_is_the_root_of_mse() -> None:
    predictions, targets = LOGITS, LOGITS[::-1].copy()
    assert metrics.RMSE()(predictions, targets) ** 2 == pytest.approx(
        metrics.MSE()(predictions, targets)
    )


# --- what bad input gets


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("wrong", [-1, 4])
@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "top_2", "f1"])
def test_labels_out_of_range(name: str, wrong: int, compiled: bool) -> None:
    metric = metrics.get(name)
    measure = rg.compile(lambda x, y: metric.measure(x, y)) if compiled else metric.measure
    labels = LABELS.copy()
    labels[5] = wrong
    with pytest.raises(errors.IndexRangeError, match=f" {wrong} .*out of range") as raised:
        measure(LOGITS, labels)
    assert "0 to 3" in str(raised.value)


def test_targets_that_do_not_fit() -> None:
    accuracy = metrics.Accuracy()
    with pytest.raises(errors.DTypeError, match="labels must be integers"):
        accuracy(LOGITS, LABELS.astype(float))
    with pytest.raises(errors.ShapeError, match=r"labels\[:, 0\]"):
        accuracy(LOGITS, LABELS[:, None])
    with pytest.raises(errors.IndexRangeError, match="target 2 "):
        accuracy(np.ones(3), [0, 1, 2])
    with pytest.raises(errors.ArgumentError, match="between 0 and 1 are no decisions"):
        accuracy(np.ones(2), np.array([0.5, 1.0]))
    with pytest.raises(errors.ShapeError, match="at least two classes"):
        metrics.TopK(1)(np.ones((3, 1)), [0, 0, 0])
    with pytest.raises(errors.ArgumentError, match="only 4 classes"):
        metrics.TopK(5)(LOGITS, LABELS)


def test_options() -> None:
    for k in (0, -1, 1.5, True):
        with pytest.raises(errors.ArgumentError, match="at least 1"):
            metrics.TopK(k)  # type: ignore[arg-type]
    with pytest.raises(errors.ArgumentError, match="Did you mean 'macro'"):
        metrics.F1("marco")
    with pytest.raises(errors.ArgumentError, match="two classes, received 4"):
        metrics.F1("binary")(LOGITS, LABELS)


def test_get() -> None:
    metric = metrics.F1("micro")
    assert metrics.get(metric) is metric
    assert metrics.get("top_3") == metrics.TopK(3)
    with pytest.raises(errors.ArgumentError, match="Did you mean 'accuracy'"):
        metrics.get("acuracy")
    with pytest.raises(errors.ArgumentTypeError, match=r"metrics.F1\(\)"):
        metrics.get(metrics.F1)  # type: ignore[arg-type]
    with pytest.raises(errors.ArgumentTypeError, match="function"):
        metrics.get(lambda outputs, targets: 1.0)  # type: ignore[arg-type]

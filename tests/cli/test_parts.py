"""The parts behind the commands: recipes, averaged networks, scores, text."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as rg
from retrograd import losses
from retrograd.cli.run import Output, as_json, count
from retrograd.cli.tasks.networks import (
    SideBySide,
    check_outputs,
    find_probabilities,
    mean_cross_entropy,
    mean_squared_error,
)
from retrograd.cli.tasks.scores import (
    describe_classes,
    report_classes,
    score_classes,
    score_numbers,
)
from retrograd.cli.tasks.table.recipe import choose_recipe, find_class_weights
from retrograd.cli.threads import limit_threads
from retrograd.errors import FileFormatError


@pytest.mark.parametrize("sizes", [(5, 3), (5, 8, 3), (5, 8, 6, 3)])
@pytest.mark.parametrize("members", [1, 4])
def test_the_average_of_networks_is_one_network(sizes: tuple[int, ...], members: int) -> None:
    rg.seed(0)
    networks = SideBySide(members, sizes, 0.5).eval()
    x = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    outputs = np.asarray(networks(x))
    assert outputs.shape == (7, members, 3)
    assert np.ptp(outputs, axis=1).max() > 0.01 or members == 1  # they differ
    average = np.asarray(networks.average().eval()(x))
    np.testing.assert_allclose(average, outputs.mean(axis=1), rtol=1e-5, atol=1e-6)


def test_the_members_learn_as_if_they_were_alone() -> None:
    rg.seed(0)
    networks = SideBySide(3, (4, 6, 2), 0.0)
    x = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    labels = np.arange(9, dtype=np.int32) % 2
    weights = np.linspace(0.5, 2.0, 9).astype(np.float32)

    def loss(model: SideBySide) -> rg.Array:
        return mean_cross_entropy(model(x), labels, sample_weight=weights)

    def loss_of_second(model: SideBySide) -> rg.Array:
        return losses.cross_entropy(model(x)[:, 1], labels, sample_weight=weights)

    together, alone = rg.grad(loss)(networks), rg.grad(loss_of_second)(networks)
    for ours, expected in zip(together["weights"], alone["weights"], strict=True):
        np.testing.assert_allclose(3 * np.asarray(ours)[1], np.asarray(expected)[1], atol=1e-6)


def test_the_squared_error_is_the_mean_over_members() -> None:
    outputs = rg.array(np.arange(6, dtype=np.float32).reshape(3, 2, 1))
    targets = np.array([[0.0], [1.0], [2.0]], np.float32)
    expected = np.mean((np.asarray(outputs)[:, :, 0] - targets) ** 2)
    assert float(mean_squared_error(outputs, targets)) == pytest.approx(float(expected))


def test_recipes_fit_the_size_of_the_table() -> None:
    small, large = choose_recipe(200, 10, 2), choose_recipe(200_000, 10, 2)
    assert small.members > large.members == 1
    assert small.refit and not large.refit
    assert small.batch_size < large.batch_size
    assert choose_recipe(200, 10, 2, epochs=7).epochs == 7
    for rows in (1, 10, 100, 10_000, 10_000_000):
        recipe = choose_recipe(rows, 1, 1)
        assert recipe.epochs > recipe.patience > 0 and recipe.batch_size >= 1


def test_class_weights_have_the_mean_1_over_the_rows() -> None:
    labels = np.repeat([0, 1, 2], [70, 20, 10])
    weights = find_class_weights(labels, 3)
    assert weights is not None and weights[labels].mean() == pytest.approx(1.0)
    assert weights[2] / weights[0] == pytest.approx(np.sqrt(7.0))
    assert find_class_weights(np.repeat([0, 1], [3, 1]), 2) is None


def test_scores_agree_with_the_metrics_of_training() -> None:
    generator = np.random.default_rng(0)
    shares, labels = generator.random((50, 4)), generator.integers(0, 4, 50)
    scores = score_classes(shares, labels)
    for name in ("accuracy", "balanced_accuracy"):
        assert scores[name] == pytest.approx(rg.metrics.get(name)(shares, labels))
    found, goal = generator.normal(size=30), generator.normal(size=30)
    for name, value in score_numbers(found, goal).items():
        assert value == pytest.approx(rg.metrics.get(name)(found, goal))
    assert np.isnan(score_numbers(found, np.ones(30))["r2"])


def test_classes_are_described_in_two_lines() -> None:
    labels, chosen = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 2, 2])
    lines = describe_classes(report_classes(labels, chosen, ("a", "b", "c", "absent")))
    assert lines == [
        "Found: a 33 % of 3, b 50 % of 2, c 100 % of 1.",
        "Mistaken: a as b (2), b as c (1).",
    ]


def test_probabilities_of_extreme_logits() -> None:
    shares = find_probabilities(np.array([[3e38, -3e38], [0.0, 0.0]], np.float32))
    np.testing.assert_allclose(shares, [[1.0, 0.0], [0.5, 0.5]])
    with pytest.raises(FileFormatError, match="1 of 2 rows"):
        check_outputs(np.array([[np.nan], [1.0]]))


def test_text_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert [count(1, "row"), count(2000, "class")] == ["1 row", "2,000 classes"]
    assert as_json({"a": [float("nan"), 1.0], "b": float("inf")}) == {"a": [None, 1.0], "b": None}
    output = Output(json=False)
    output.show_table([["a", "long cell", "x"], ["bb", "", ""]])
    output.finish({"never": "shown"})
    assert capsys.readouterr().out == "  a   long cell  x\n  bb\n"


def test_threads_can_be_set_twice() -> None:
    assert limit_threads(2) == limit_threads(1)

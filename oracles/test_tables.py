"""`retrograd train` and `predict` on real tables, against scikit-learn's MLP and linear model.

The goal: over five splits the mean score is at least the better of the two, less two points
(accuracy in percent, R2 times 100). Iris, digits and a synthetic table are there so that nothing is
tuned to the first three.
"""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from retrograd.cli.main import main

SPLITS = 5
TEST_SHARE = 0.25
ALLOWANCE = 2.0  # points

Table = tuple[list[str], np.ndarray, np.ndarray]


def load(name: str) -> Table:
    """Column names, features and target; classes as text, so that they are read as such."""
    if name == "friedman":
        x, y = datasets.make_friedman1(500, 8, noise=1.0, random_state=0)
        return [f"x{place}" for place in range(x.shape[1])], x, y
    bunch: Any = getattr(datasets, f"load_{name}")()
    x, y = bunch.data, bunch.target
    if name == "digits":
        chosen = np.random.default_rng(0).permutation(len(x))[:700]
        x, y = x[chosen], y[chosen]
    if name != "diabetes":
        y = np.array([f"class {label}" for label in bunch.target_names[y]])
    return [str(column) for column in bunch.feature_names], x, y


def write_csv(path: Path, names: list[str], x: np.ndarray, y: np.ndarray | None) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names if y is None else [*names, "goal"])
        for place, row in enumerate(x.tolist()):
            writer.writerow(row if y is None else [*row, y[place].item()])


def score_retrograd(
    folder: Path, names: list[str], x: np.ndarray, y: np.ndarray, train: Any, test: Any, seed: int
) -> float:
    """Train on one CSV file and predict another, by the command line."""
    known, new, out = folder / "known.csv", folder / "new.csv", folder / "predictions.csv"
    write_csv(known, names, x[train], y[train])
    write_csv(new, names, x[test], None)
    model = str(folder / "model")
    arguments = ["train", str(known), "--target", "goal", "--out", model, "--force"]
    assert main([*arguments, "--seed", str(seed)]) == 0
    assert main(["predict", model, str(new), "--out", str(out)]) == 0
    with out.open(newline="") as file:
        predicted = [row["prediction"] for row in csv.DictReader(file)]
    if y.dtype.kind == "f":
        return 100.0 * r2_score(y[test], np.array(predicted, dtype=float))
    return 100.0 * accuracy_score(y[test], predicted)


def score_rivals(
    x: np.ndarray, y: np.ndarray, train: Any, test: Any, seed: int
) -> tuple[float, float]:
    """scikit-learn's MLP and linear model on the same rows, on standardised inputs."""
    is_number = y.dtype.kind == "f"
    network = (MLPRegressor if is_number else MLPClassifier)(max_iter=2000, random_state=seed)
    linear = Ridge() if is_number else LogisticRegression(max_iter=2000)
    scores = []
    for model in (network, linear):
        pipeline = make_pipeline(StandardScaler(), model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            pipeline.fit(x[train], y[train])
        scores.append(100.0 * pipeline.score(x[test], y[test]))
    return scores[0], scores[1]


@pytest.mark.parametrize(
    "name", ["breast_cancer", "wine", "diabetes", "iris", "digits", "friedman"]
)
def test_is_as_good_as_scikit_learn(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names, x, y = load(name)
    splitter = ShuffleSplit if y.dtype.kind == "f" else StratifiedShuffleSplit
    cuts = splitter(n_splits=SPLITS, test_size=TEST_SHARE, random_state=0).split(x, y)
    scores = []
    for seed, (train, test) in enumerate(cuts):
        ours = score_retrograd(tmp_path, names, x, y, train, test, seed)
        scores.append((ours, *score_rivals(x, y, train, test, seed)))
    ours, network, linear = np.mean(scores, axis=0)
    capsys.readouterr()
    with capsys.disabled():
        print(f"\n{name}: retrograd {ours:.1f}, MLP {network:.1f}, linear {linear:.1f}")
    assert ours >= max(network, linear) - ALLOWANCE

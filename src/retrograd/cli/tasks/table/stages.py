"""From a table to a tested model: split, encode, train, stop, test once, learn all rows."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ....data.baseline import fit_logistic, fit_majority, fit_mean, fit_ridge
from ....data.columns import ColumnPlan
from ....data.encode import Preprocessor
from ....data.table import Table
from ....data.table_split import RowSplit, split_rows
from ....data.values import number_values
from ...run import count
from ..scores import Scores, report_classes, score_classes, score_numbers
from .fit import Fitted, fit_networks
from .model import TableModel
from .recipe import Recipe, choose_recipe, find_class_weights

Floats = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A table ready for training.

    Args:
        table, plan: all rows, and what was decided for each column.
        split: which rows train, stop and test.
        preprocessor: fitted on the training part alone.
        x, y: the encoded training part.
        validation: x and y to stop on.
        recipe: the network and how it is trained.
        class_weights: for a classification with rare classes.
        seed: of everything random.
    """

    table: Table
    plan: ColumnPlan
    split: RowSplit
    preprocessor: Preprocessor
    x: Floats
    y: Floats
    validation: tuple[Floats, Floats]
    recipe: Recipe
    class_weights: Floats | None
    seed: int


def prepare(table: Table, plan: ColumnPlan, seed: int, epochs: int | None) -> Prepared:
    """Split first, then encode by the training part, then choose the network.

    Raises:
        DataError: too few rows, or nothing that varies in the training part.
    """
    split = keep_classes(table, plan, split_rows(table, plan, seed))
    preprocessor = Preprocessor.fit(table.rows(split.train), plan)
    x, y = preprocessor.transform(table.rows(split.train))
    return Prepared(
        table,
        plan,
        split,
        preprocessor,
        x,
        y,
        preprocessor.transform(table.rows(split.validation)),
        choose_recipe(len(x), x.shape[1], preprocessor.outputs, epochs),
        find_class_weights(y, preprocessor.outputs) if plan.task == "classification" else None,
        seed,
    )


def keep_classes(table: Table, plan: ColumnPlan, split: RowSplit) -> RowSplit:
    """The split, with the rows of classes that the training part lacks moved into it.

    Rows that repeat each other are kept in one part; if they differ in their class, a rare class
    may go with them.
    """
    if plan.task != "classification":
        return split
    codes, _ = number_values(table.column(plan.target.name))
    known = np.unique(codes[split.train])
    others = np.concatenate([split.validation, split.test])
    strays = others[~np.isin(codes[others], known)]
    if len(strays) == 0:
        return split
    note = f"{count(len(strays), 'row')} moved to training, which had none of the class"
    return replace(
        split,
        train=np.sort(np.concatenate([split.train, strays])),
        validation=np.setdiff1d(split.validation, strays),
        test=np.setdiff1d(split.test, strays),
        notes=(*split.notes, note),
    )


def fit(prepared: Prepared) -> Fitted:
    """Train on the training part, and stop on the validation part."""
    return fit_networks(
        prepared.x,
        prepared.y,
        prepared.preprocessor.outputs,
        prepared.recipe,
        prepared.seed,
        prepared.class_weights,
        validation=prepared.validation,
    )


def test(prepared: Prepared, fitted: Fitted) -> tuple[dict[str, Scores], dict[str, Any] | None]:
    """Score the test part, which nothing has seen so far, beside what must be beaten.

    Returns:
        (scores by predictor, report of the classes): the report is None for a regression.
    """
    preprocessor = prepared.preprocessor
    x, y = preprocessor.transform(prepared.table.rows(prepared.split.test))
    model = TableModel(fitted.networks.average(), preprocessor, prepared.plan, {})
    outputs = model.outputs(x)
    if prepared.plan.task == "classification":
        classes = preprocessor.outputs
        linear = fit_logistic(prepared.x, prepared.y, classes).predict_probabilities(x)
        majority = fit_majority(prepared.y, classes).predict_probabilities(x)
        scores = {
            "network": score_classes(outputs, y),
            "linear model": score_classes(linear, y),
            "most frequent class": score_classes(majority, y),
        }
        return scores, report_classes(y, outputs.argmax(axis=1), preprocessor.classes)
    predictions = {
        "network": outputs[:, 0],
        "linear model": fit_ridge(prepared.x, prepared.y).predict(x),
        "mean": fit_mean(prepared.y).predict(x),
    }
    decode = preprocessor.inverse_transform
    return {name: score_numbers(decode(p), decode(y)) for name, p in predictions.items()}, None


def refit(prepared: Prepared, epochs: int, report: dict[str, Any]) -> TableModel | None:
    """The final model for a small table: all rows are learned, with the epochs that were found.

    None if Ctrl-C ended it: the model that was tested is then the better one.
    """
    split = prepared.split
    rows = np.sort(np.concatenate([split.train, split.validation, split.test]))
    everything = prepared.table.rows(rows)
    preprocessor = Preprocessor.fit(everything, prepared.plan)
    x, y = preprocessor.transform(everything)
    weights = None
    if prepared.class_weights is not None:
        weights = find_class_weights(y, preprocessor.outputs)
    fitted = fit_networks(
        x,
        y,
        preprocessor.outputs,
        prepared.recipe,
        prepared.seed,
        weights,
        None,
        epochs,
        "all rows",
    )
    if fitted.is_interrupted:
        return None
    return TableModel(
        fitted.networks.average(), preprocessor, prepared.plan, report | {"refit": True}
    )


def make_report(
    prepared: Prepared,
    fitted: Fitted,
    scores: dict[str, Scores],
    classes: dict[str, Any] | None,
    started: float,
) -> dict[str, Any]:
    """How the model was trained and tested, as plain values, for the directory and for --json."""
    split, plan = prepared.split, prepared.plan
    rows = {"train": split.train, "validation": split.validation, "test": split.test}
    report: dict[str, Any] = {
        "source": prepared.table.source,
        "rows": {name: len(part) for name, part in rows.items()}
        | {"left_out": len(split.excluded)},
        "features": prepared.x.shape[1],
        "recipe": prepared.recipe.to_json(),
        "seed": prepared.seed,
        "epochs": fitted.epochs,
        "test": {name.replace(" ", "_"): values for name, values in scores.items()},
        "refit": False,
        "warnings": [*prepared.table.notes, *plan.warnings, *split.notes],
        "seconds": round(time.monotonic() - started, 3),
    }
    if prepared.class_weights is not None:
        report["class_weights"] = prepared.class_weights.tolist()
    if classes is not None:
        report["test_classes"] = classes
    return report

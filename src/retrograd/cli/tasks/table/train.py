"""Training a network on a table, and telling about it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ....data.columns import ColumnPlan, decide_columns
from ....data.table import Table, read_table
from ....errors import ArgumentError
from ...run import Output, count, quote
from ...threads import limit_threads
from ..ending import end_training
from ..scores import describe_classes, lay_out_scores
from ..task import TrainRequest
from .fit import Fitted
from .model import TableModel
from .stages import Prepared, fit, make_report, prepare, refit, test

LARGEST_LIST = 40


def train_table(request: TrainRequest, output: Output) -> None:
    """Read, decide, train, measure, save and report."""
    started = time.monotonic()
    options = request.options
    table = read_table(request.data)
    output.say(f"{request.data}: {count(len(table), 'row')}, {count(len(table.names), 'column')}")
    output.warn(*table.notes)
    kinds = _read_kinds(options.get("--kind", ()))
    plan = decide_columns(
        table, options["--target"], request.task, options.get("--drop", ()), kinds
    )
    show_plan(plan, output)
    for warning in plan.warnings:
        output.warn(warning)
    _train(table, plan, request, started, output)


def show_plan(plan: ColumnPlan, output: Output) -> None:
    """Each column, its kind and why; of very many only the first and those that are left out."""
    rows = [list(row) for row in plan.explain()]
    used = {item.name for item in plan.features}
    shown, left = rows[:1], 0
    for row in rows[1:]:
        if row[0] in used and len(shown) >= LARGEST_LIST:
            left += 1
        else:
            shown.append(row)
    output.show_table(shown)
    if left:
        output.say(f"  and {count(left, 'more column')} that are used")


def _train(
    table: Table, plan: ColumnPlan, request: TrainRequest, started: float, output: Output
) -> None:
    out = request.out
    prepared = prepare(table, plan, request.seed, request.epochs)
    if request.threads is None and prepared.recipe.members > 1:
        limit_threads(1)  # the matrices are small: threads would cost more than they bring
    _show_split(prepared, output)
    fitted = fit(prepared)
    if fitted.epochs == 0:
        raise KeyboardInterrupt
    _show_training(prepared, fitted, output)

    scores, classes = test(prepared, fitted)
    output.say()
    output.say(f"Test part ({count(len(prepared.split.test), 'row')}, used only now):")
    output.show_table(lay_out_scores(scores))
    for line in describe_classes(classes) if classes else []:
        output.say(f"  {line}")
    _judge(scores, output)
    report = make_report(prepared, fitted, scores, classes, started)
    model = TableModel(fitted.networks.average(), prepared.preprocessor, plan, report)
    model.save(out)

    interrupted = fitted.is_interrupted
    if prepared.recipe.refit and not interrupted:
        final = refit(prepared, fitted.epochs, report)
        interrupted = final is None
        if final is not None:
            final.report["seconds"] = round(time.monotonic() - started, 3)
            final.save(out)
            model = final
            rows = sum(len(part) for part in (prepared.x, prepared.validation[0]))
            everything = rows + len(prepared.split.test)
            output.say(f"Then learned all {count(everything, 'row')} in as many epochs.")
    columns = [{"column": a, "kind": b, "reason": c} for a, b, c in plan.explain()]
    result = {"model": out, "task": plan.task, "target": plan.target.name, "columns": columns}
    following = f"predict {quote(out)} new.csv --out predictions.csv"
    end_training(output, out, started, following, result | model.report, interrupted)


def _show_split(prepared: Prepared, output: Output) -> None:
    split, preprocessor = prepared.split, prepared.preprocessor
    output.warn(*split.notes)
    output.say()
    output.say(
        f"Rows: {len(split.train):,} to train on, {len(split.validation):,} to stop on, "
        f"{len(split.test):,} to test with"
    )
    if prepared.class_weights is not None:
        output.warn("the classes differ much in size: rows of rare ones weigh more in training")
    features = prepared.x.shape[1]
    described = prepared.recipe.describe(features, preprocessor.outputs)
    output.say(f"Network: {described}")


def _show_training(prepared: Prepared, fitted: Fitted, output: Output) -> None:
    if fitted.is_interrupted:
        output.say(
            f"Interrupted; best on the validation part after {count(fitted.epochs, 'epoch')}"
        )
    elif fitted.epochs == prepared.recipe.epochs:
        output.say(f"Trained for all {count(fitted.epochs, 'epoch')}")
    else:
        output.say(f"Best on the validation part after {count(fitted.epochs, 'epoch')}")


def _judge(scores: dict[str, dict[str, float]], output: Output) -> None:
    """Say it where the network is not worth its trouble."""
    name = "r2" if "r2" in scores["network"] else "balanced_accuracy"
    network, linear, constant = (values[name] for values in scores.values())
    if network <= constant:
        output.warn("the network is no better than a constant: the columns may not tell the target")
    elif linear - network > 0.02:
        output.warn(
            "the linear model is better on this test part: the relation may be a linear one"
        )


def _read_kinds(given: Sequence[str]) -> dict[str, str]:
    kinds: dict[str, str] = {}
    for item in given:
        name, separator, kind = item.rpartition("=")
        if not separator or not name or not kind:
            raise ArgumentError(
                f"Expected --kind COLUMN=KIND, received {item!r}.",
                fix="For example --kind zip=categorical.",
            )
        kinds[name] = kind
    return kinds

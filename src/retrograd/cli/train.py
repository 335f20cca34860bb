"""`retrograd train`: from a table to a tested model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from .run import INTERRUPTED, Output, count, quote

if TYPE_CHECKING:
    from ..data.columns import ColumnPlan
    from ..data.table import Table
    from .fit_table import Fitted
    from .train_table import Prepared

LARGEST_LIST = 40


def train(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A CSV or Parquet file whose first line names columns, or a text file.",
        ),
    ],
    out: Annotated[str, typer.Option(help="The directory for the model.")],
    target: Annotated[
        Optional[str],  # noqa: UP045 - older versions of typer do not read `str | None`
        typer.Option(help="The column to predict."),
    ] = None,
    task: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="classification or regression (by default decided from the target), language or "
            "forecast."
        ),
    ] = None,
    drop: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="COLUMN", help="A column to leave out. May be repeated."),
    ] = None,
    kind: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="COLUMN=KIND",
            help="Read a column as numeric, categorical or date. May be repeated.",
        ),
    ] = None,
    epochs: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="At most so many epochs; by default chosen by the data's size."),
    ] = None,
    horizon: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="forecast: how many steps ahead.", show_default=False),
    ] = None,
    minutes: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="language: train for so long.", show_default=False),
    ] = None,
    network: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="language: gpt or lstm.", show_default="gpt"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model.")] = 0,
    threads: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=1, help="Threads of NumPy; by default its own choice, one for small tables."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a model in --out.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Train a network on a file: a table, a text, or a series.

    The rows of a table are split into a training part, a validation part to stop on and a test
    part, which is used once, to report. For each column it is decided, and told, how the network
    sees it. Of a text (--task language) the last tenth is the test part, of a series (--task
    forecast) the last 15 %.

    Examples:

    \b
      retrograd train houses.csv --target price --out model
      retrograd train loans.csv --target repaid --out model --drop customer --force
      retrograd train shops.csv --target sales --out model --kind zip=categorical --json
      retrograd train novel.txt --task language --out model --minutes 10
      retrograd train sales.csv --task forecast --target sold --horizon 24 --out model
    """
    from .table_model import check_destination
    from .threads import choose_threads, limit_threads

    started = time.monotonic()
    output = Output(json)
    check_destination(out, force)
    threads = choose_threads(threads)
    if threads is not None and not limit_threads(threads):
        output.warn("the number of threads of this NumPy cannot be changed while it runs")
    options = {"--target": target, "--drop": drop, "--kind": kind}
    if task == "language":
        from .train_language import train_language

        _refuse({**options, "--horizon": horizon}, task)
        _check_minutes(minutes)
        train_language(data, out, network or "gpt", epochs, minutes, seed, output)
        return
    _refuse({"--minutes": minutes, "--network": network}, task or "a table")
    if target is None:
        raise typer.BadParameter("Missing option '--target'.")
    if task == "forecast":
        from .train_forecast import train_forecast

        _refuse({"--kind": kind}, task)
        if horizon is None:
            raise typer.BadParameter("Missing option '--horizon'.")
        train_forecast(data, target, horizon, out, drop or [], epochs, seed, output)
        return
    _refuse({"--horizon": horizon}, task or "a table")
    table, plan = _read(data, target, task, drop or [], _read_kinds(kind or []), output)
    _train(table, plan, out, seed, epochs, started, output, threads is None)


def _read(
    data: str,
    target: str,
    task: str | None,
    drop: Sequence[str],
    kinds: dict[str, str],
    output: Output,
) -> tuple[Table, ColumnPlan]:
    from ..data.columns import decide_columns
    from ..data.table import read_table

    table = read_table(data)
    output.say(f"{data}: {count(len(table), 'row')}, {count(len(table.names), 'column')}")
    for note in table.notes:
        output.warn(note)
    plan = decide_columns(table, target, task, drop, kinds)
    show_plan(plan, output)
    for warning in plan.warnings:
        output.warn(warning)
    return table, plan


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
    table: Table,
    plan: ColumnPlan,
    out: str,
    seed: int,
    epochs: int | None,
    started: float,
    output: Output,
    may_limit_threads: bool,
) -> None:
    from .scores import describe_classes, lay_out_scores
    from .table_model import TableModel
    from .threads import limit_threads
    from .train_table import fit, make_report, prepare, refit, test

    prepared = prepare(table, plan, seed, epochs)
    if may_limit_threads and prepared.recipe.members > 1:
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
    output.say()
    output.say(f"The model is in {out} ({time.monotonic() - started:.1f} s). Next:")
    output.say(f"  retrograd predict {quote(out)} new.csv --out predictions.csv")
    columns = [{"column": a, "kind": b, "reason": c} for a, b, c in plan.explain()]
    result = {"model": out, "task": plan.task, "target": plan.target.name, "columns": columns}
    output.finish(result | model.report | {"interrupted": interrupted})
    if interrupted:
        output.warn("interrupted by Ctrl-C: the best network so far was kept")
        raise typer.Exit(INTERRUPTED)


def _show_split(prepared: Prepared, output: Output) -> None:
    split, preprocessor = prepared.split, prepared.preprocessor
    for note in split.notes:
        output.warn(note)
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
    from ..errors import ArgumentError

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


def _refuse(options: Mapping[str, object], task: str) -> None:
    """An error for options that were given and mean nothing for this task."""
    from ..errors import ArgumentError

    for name, value in options.items():
        if value:
            raise ArgumentError(f"{name} has no meaning for {task}.", fix=f"Leave out {name}.")


def _check_minutes(minutes: float | None) -> None:
    from ..errors import ArgumentError

    if minutes is not None and not 0.0 < minutes < 1e6:
        raise ArgumentError(f"--minutes is a number above 0, received {minutes:g}.")

"""`retrograd train`: from a file to a tested model."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from .run import Output


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
            help="classification or regression (by default decided from the target), language, "
            "forecast, masked, tags, text or translation."
        ),
    ] = None,
    text: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="COLUMN",
            help="text: the column of the texts; tags: that of the words.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="COLUMN",
            help="translation: the column of the texts; --target has the translations.",
            show_default=False,
        ),
    ] = None,
    test: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="FILE",
            help="translation: pairs to test with; by default a share of DATA.",
            show_default=False,
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
        typer.Option(help="language, masked, translation: train for so long.", show_default=False),
    ] = None,
    network: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="language: gpt or lstm; text: ngrams or gru.", show_default="the first"),
    ] = None,
    tokens: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="masked: characters or words.", show_default="characters"),
    ] = None,
    encoder: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="MODEL",
            help="text: start from what `--task masked` has trained.",
            show_default=False,
        ),
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
    sees it. Of a text (--task language or masked) the last tenth is the test part, of a series
    (--task forecast) the last 15 %.

    Examples:

    \b
      retrograd train houses.csv --target price --out model
      retrograd train loans.csv --target repaid --out model --drop customer --force
      retrograd train shops.csv --target sales --out model --kind zip=categorical --json
      retrograd train novel.txt --task language --out model --minutes 10
      retrograd train novels --task masked --out encoder --minutes 8
      retrograd train sales.csv --task forecast --target sold --horizon 24 --out model
      retrograd train words.conll --task tags --out model
      retrograd train reviews.csv --task text --target score --out model
      retrograd train pairs.tsv --task translation --source english --target spanish --out model
    """
    from .destination import check_destination
    from .tasks import check_options, find_task
    from .tasks.task import TrainRequest
    from .threads import choose_threads, limit_threads

    output = Output(json, is_optional=True)
    check_destination(out, force)
    threads = choose_threads(threads)
    if threads is not None and not limit_threads(threads):
        output.warn("the number of threads of this NumPy cannot be changed while it runs")
    found = find_task(task)
    given = {
        "--target": target,
        "--text": text,
        "--source": source,
        "--test": test,
        "--drop": drop,
        "--kind": kind,
        "--horizon": horizon,
        "--minutes": minutes,
        "--network": network,
        "--tokens": tokens,
        "--encoder": encoder,
    }
    options = check_options(found, given, task)
    _check_minutes(minutes)
    found.train(TrainRequest(data, out, task, seed, threads, epochs, options), output)


def _check_minutes(minutes: float | None) -> None:
    from ..errors import ArgumentError

    if minutes is not None and not 0.0 < minutes < 1e6:
        raise ArgumentError(f"--minutes is a number above 0, received {minutes:g}.")

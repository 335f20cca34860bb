"""The typer application: all commands, and what `retrograd` says about itself."""

from __future__ import annotations

from typing import Annotated

import typer

from .bench import bench
from .demo import demo
from .evaluate import evaluate
from .generate import generate
from .info import info
from .predict import predict
from .run import run_safely
from .train import train


def introduce(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Train neural networks on the machine you have.

    A network for a table takes two commands, and a first look takes one:

    \b
      retrograd train houses.csv --target price --out model
      retrograd predict model new.csv --out predictions.csv
      retrograd demo

    Each command shows examples with --help.
    """
    if version:
        from ..version import VERSION

        typer.echo(f"retrograd {VERSION}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def make_app() -> typer.Typer:
    """The application with all commands; what they compute with is imported inside them.

    Example:
        >>> make_app().info.name
        'retrograd'
    """
    app = typer.Typer(
        name="retrograd",
        callback=introduce,
        invoke_without_command=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain text: paragraphs are wrapped, examples are left alone
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for command in (demo, train, predict, evaluate, generate, info, bench):
        app.command()(run_safely(command))
    return app

"""`retrograd demo`: a small convolutional network learns real handwritten digits."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from .run import INTERRUPTED, Output, count

EXAMPLE = """import retrograd as rg
(_, _), (x, y) = rg.datasets.digits(test_fraction=0.2, seed={seed})
model = rg.load_model({model!r}).eval()
print(model(x[:1, ..., None]).argmax(), y[0])"""


def demo(
    out: Annotated[
        str, typer.Option(metavar="DIR", help="The directory for the model.")
    ] = "digits-model",
    seed: Annotated[
        int, typer.Option(min=0, help="Which digits are put aside, and all that is random.")
    ] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Train a small network on handwritten digits, in less than a minute.

    The 1,797 digits ship with retrograd. A fifth of them is put aside and used only at the end. The
    directory gets the model and the curves of the training.

    Examples:

    \b
      retrograd demo
      retrograd demo --seed 1 --out other-digits
      retrograd demo --json
    """
    from .demo_digits import check_demo_destination, save_demo, train_digits
    from .tasks.scores import describe_classes
    from .threads import choose_threads, limit_threads

    started = time.monotonic()
    output = Output(json)
    check_demo_destination(out)
    # The matrices are small: threads would cost more than they bring.
    limit_threads(choose_threads(None) or 1)
    output.say("1,797 handwritten digits of 8x8 pixels; a fifth is put aside for the test.")
    result = train_digits(seed)
    if result.is_interrupted and not result.history.epochs:
        raise KeyboardInterrupt
    seconds = time.monotonic() - started
    output.say(
        f"Trained {count(len(result.history.epochs), 'epoch')} on {len(result.training):,} digits; "
        f"epoch {result.best_epoch} was best on {len(result.validation):,} others."
    )
    output.say(
        f"Test: {100 * result.accuracy:.2f} % of {len(result.labels)} digits that it had never "
        f"seen ({seconds:.1f} s)."
    )
    for line in describe_classes(result.report, shown=3):
        output.say(f"  {line}")
    files = save_demo(result, out, seconds)
    if not files:
        output.say()
        output.say(result.history.plot_text(width=56, height=7))
    output.say()
    output.say(f"Model: {out}" + (f"   Pictures: {', '.join(files)}" if files else ""))
    _suggest_next(out, seed, output)
    output.finish(
        {
            "test_accuracy": result.accuracy,
            "seconds": round(seconds, 3),
            "model": out,
            "test_digits": len(result.labels),
            "epochs": len(result.history.epochs),
            "best_epoch": result.best_epoch,
            "seed": seed,
            "pictures": files,
            **result.report,
        }
    )
    if result.is_interrupted:
        output.warn("interrupted by Ctrl-C: the best network so far was kept")
        raise typer.Exit(INTERRUPTED)


def _suggest_next(out: str, seed: int, output: Output) -> None:
    import shlex

    output.say("Next:")
    rows: list[list[Any]] = [
        [f"retrograd info {shlex.quote(out)}", "what the directory holds"],
        ["retrograd demo --seed 1", "other digits put aside"],
        ["retrograd train --help", "a network for your own table"],
    ]
    output.show_table(rows)
    output.say("In Python:")
    for line in EXAMPLE.format(model=out, seed=seed).splitlines():
        output.say(f"  {line}")

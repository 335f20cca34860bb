"""How each training ends: where the model is, what comes next, whether it was interrupted."""

from __future__ import annotations

import time
from typing import Any

import typer

from ..run import INTERRUPTED, Output


def end_training(
    output: Output,
    out: str,
    started: float,
    following: str,
    result: dict[str, Any],
    is_interrupted: bool,
) -> None:
    """Tell that the model is saved, and give the result.

    Args:
        output: where to.
        out: the model directory.
        started: when the training began, by `time.monotonic()`.
        following: the command that may come next, without "retrograd".
        result: for a program that reads it.
        is_interrupted: whether Ctrl-C ended the training.

    Raises:
        typer.Exit: it was interrupted.
    """
    output.say()
    output.say(f"The model is in {out} ({time.monotonic() - started:.1f} s). Next:")
    output.say(f"  retrograd {following}")
    output.finish(result | {"interrupted": is_interrupted})
    if is_interrupted:
        output.warn("interrupted by Ctrl-C: the best network so far was kept")
        raise typer.Exit(INTERRUPTED)

"""What all applications share: their options, their folder, and running the command line."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from retrograd.errors import RetrogradError

from .packages import ROOT

RUNS = ROOT / "runs"


def make_parser(name: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options that every application has."""
    parser = argparse.ArgumentParser(
        prog=f"make {name}", description=description, usage=f'make {name} [ARGS="..."]'
    )
    parser.add_argument(
        "--data", type=Path, help="a folder with the package's file: nothing is downloaded"
    )
    parser.add_argument("--seed", default="0", help="of the training (0)")
    parser.add_argument(
        "--folder",
        type=Path,
        default=RUNS / name,
        help=f"for the plain data and the models (runs/{name})",
    )
    return parser


def retrograd(*arguments: str | Path) -> None:
    """Show a command of retrograd and run it; the application ends where it fails."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ retrograd {shlex.join(words)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "retrograd", *words], check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def run(main: Callable[[], None]) -> None:
    """Run an application: its errors without a traceback, its time at the end."""
    start = time.monotonic()
    try:
        main()
    except RetrogradError as error:
        fix = f"\n  fix: {error.fix}" if error.fix else ""
        raise SystemExit(f"error: {error.message}{fix}") from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    print(f"\n{time.monotonic() - start:.0f} s in all", flush=True)

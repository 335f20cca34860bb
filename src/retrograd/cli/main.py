"""The entry point of `retrograd`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, as `retrograd ARGUMENTS` does.

    Args:
        arguments: the words after `retrograd`; by default those of the command line.

    Returns:
        0 for success, 1 for an error that is told, 2 for wrong usage, 130 after Ctrl-C.

    Example:
        >>> main(["--version"])
        retrograd ...
        0
    """
    from .app import make_app

    try:
        make_app()(list(sys.argv[1:] if arguments is None else arguments), prog_name="retrograd")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


if __name__ == "__main__":
    sys.exit(main())

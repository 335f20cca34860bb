"""Where a model may be written: refused before the training, not after it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ..errors import SaveError
from ..train.files import explain_write_error


def check_destination(path: str, force: bool) -> None:
    """Refuse now what could not be written when the training is done.

    Args:
        path: the model directory to be.
        force: whether a model directory there may be replaced.

    Raises:
        SaveError: something else is there, or a model and no `force`; or it cannot be written.
    """
    target = Path(path)
    if target.is_dir():
        is_model = (target / "model.json").is_file()
        if not is_model and any(target.iterdir()):
            raise SaveError(
                f"{path!r} holds files, but no model of retrograd; it is left as it is.",
                fix="Choose a new directory with --out.",
            )
        if is_model and not force:
            raise SaveError(
                f"{path!r} already holds a model.",
                fix="Choose another directory with --out, or replace it with --force.",
            )
    elif target.exists() or target.is_symlink():
        raise SaveError(
            f"{path!r} exists and is not a directory.", fix="Choose a new directory with --out."
        )
    folder = target.resolve().parent
    while not folder.exists():
        folder = folder.parent
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".retrograd.", dir=folder))
    except OSError as error:
        raise explain_write_error(target, error) from None

"""What a task keeps in model.json beside the network, and what is wrong with it."""

from __future__ import annotations

from typing import Any

from ...errors import FileFormatError
from ...train.saving import load_model_info


def read_section(path: str, section: str, version: int, what: str) -> dict[str, Any]:
    """What a task has written beside the network.

    Args:
        path: the model directory.
        section: of the task.
        version: of the section that is read.
        what: what a model of the task is, without an article: "tagger".

    Raises:
        FileFormatError: no model is there, one of another kind, or one of another version.
    """
    info = load_model_info(path)
    found = info.extra.get(section)
    if not isinstance(found, dict):
        command = "train" if section == "table" else f"train --task {section}"
        raise FileFormatError(
            f"{path!r} holds a {info.model_class}, but no {what}.",
            fix=f"give a directory that `retrograd {command}` wrote; load others in Python with "
            f"retrograd.load_model({path!r})",
        )
    if found.get("version") != version:
        raise FileFormatError(
            f"The {what} in {path!r} has the version {found.get('version')!r}; this retrograd "
            f"reads {version}.",
            fix="install the version of retrograd that wrote it, or train it again",
        )
    return found


def tell_damaged(path: str, section: str, error: Exception | None = None) -> FileFormatError:
    """The error for a section that does not hold what it should.

    Args:
        path: the model directory.
        section: of the task.
        error: what came of it.
    """
    if isinstance(error, FileFormatError):
        return error  # it says more
    why = "" if error is None else f" ({type(error).__name__}: {error})"
    return FileFormatError(
        f"The section {section!r} of {path!r} is damaged{why}.", fix="train the model again"
    )


def tell_mismatch(path: str, what: str) -> FileFormatError:
    """The error for a network that is not the one of its section.

    Args:
        path: the model directory.
        what: what the network does not do ("take 3 features to 2 outputs").
    """
    return FileFormatError(
        f"The network in {path!r} does not {what}.",
        fix="train the model again: its files do not belong together",
    )

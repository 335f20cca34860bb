"""The tasks of the command line, and which one is meant."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ...errors import ArgumentError, FileFormatError
from ..run import UsageError

if TYPE_CHECKING:
    from ...train.saving import ModelInfo
    from .task import Task

DEFAULT = "table"
TASKS = {
    "table": "table.task:TableTask",
    "language": "language.task:LanguageTask",
    "forecast": "forecast.task:ForecastTask",
    "masked": "masked.task:MaskedTask",
    "tags": "tags.task:TagsTask",
    "text": "text.task:TextTask",
    "translation": "translation.task:TranslationTask",
}
"""Where each task is, by the section that its models have; imported when it is needed."""

NAMES = {"classification": "table", "regression": "table"}
"""What a user may write after `--task` for a task with another section."""


def load_task(section: str) -> Task:
    """The task with this section."""
    module, name = TASKS[section].split(":")
    found: Task = getattr(import_module(f".{module}", __package__), name)()
    return found


def find_task(name: str | None) -> Task:
    """The task that a user names; that of a table if none is named.

    Raises:
        ArgumentError: there is none of this name.
    """
    named = {**NAMES, **{section: section for section in TASKS if section != DEFAULT}}
    if name is not None and name not in named:
        raise ArgumentError(
            f"--task is {name!r}; expected one of {', '.join(named)}.",
            fix="Leave --task out to have it decided from the target of a table.",
        )
    return load_task(DEFAULT if name is None else named[name])


def find_trained_task(info: ModelInfo) -> Task | None:
    """The task that trained a model; None for a model that was saved in Python."""
    return next((load_task(section) for section in TASKS if section in info.extra), None)


def find_task_of(model: str) -> Task:
    """The task that trained the model in a directory.

    Raises:
        FileFormatError: no model is there, or none that `retrograd train` wrote.
    """
    from ...train.saving import load_model_info

    info = load_model_info(model)
    task = find_trained_task(info)
    if task is None:
        raise FileFormatError(
            f"{model!r} holds a {info.model_class}, but nothing that `retrograd train` wrote.",
            fix="Give a directory that `retrograd train` wrote; load others in Python with "
            f"retrograd.load_model({model!r}).",
        )
    return task


def check_options(task: Task, given: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    """The options that were given, all of which mean something for the task.

    Args:
        task: the task.
        given: all options by name; None or an empty list where one was not given.
        name: of the task, as the user wrote it.

    Raises:
        ArgumentError: one has no meaning for the task.
        UsageError: one that it needs is missing.
    """
    options = {option: value for option, value in given.items() if value not in (None, [])}
    for option in options:
        if option not in task.options:
            raise ArgumentError(
                f"{option} has no meaning for {name or 'a table'}.", fix=f"Leave out {option}."
            )
    for option in task.required:
        if option not in options:
            needs = f"--task {name}" if name else "Training on a table"
            raise UsageError(
                f"{needs} needs {option}.", fix=f"Add {option}; retrograd train --help tells more."
            )
    return options

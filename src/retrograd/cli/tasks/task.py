"""What a task of the command line is: a kind of data, and what is done with it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from ...errors import ArgumentError, SaveError
from ..run import Output

if TYPE_CHECKING:
    from ...train.saving import ModelInfo


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What `retrograd train` was asked for.

    Args:
        data: the file or folder to learn.
        out: the model directory; it was checked that it can be written.
        task: the name that the user gave; None if it is to be decided.
        seed: of weights and order.
        threads: those that the user asked for, or None.
        epochs: at most so many, or None.
        options: the other options by name ("--target"), those that were not given left out. The
            task that gets them has all that it needs and none that means nothing to it.
    """

    data: str
    out: str
    task: str | None = None
    seed: int = 0
    threads: int | None = None
    epochs: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """What `retrograd predict` was asked for.

    Args:
        model: the model directory.
        data: the file to read.
        out: the file to write, or None.
        probabilities: whether a column for each class is wanted.
    """

    model: str
    data: str
    out: str | None = None
    probabilities: bool = False

    def make_output(self, json: bool) -> Output:
        """Where the text goes: not to stdout if the predictions may go there."""
        taken = self.out is not None and os.path.exists(self.out) and not os.path.isfile(self.out)
        return Output(json, aside=taken)

    def check_out(self) -> None:
        """Refuse before the work what would fail after it, or would overwrite the input.

        Raises:
            ArgumentError, SaveError: `out` cannot be written, or is the input.
        """
        out, data = self.out, self.data
        if out is None:
            return
        if os.path.isdir(out):
            raise SaveError(f"{out!r} is a directory.", fix="Give the name of a file to --out.")
        if out == "-":
            raise ArgumentError(
                "--out '-' would write a file with the name '-'.",
                fix="Give /dev/stdout to print the predictions, or ./- for that file.",
            )
        if os.path.isfile(out) and os.path.exists(data) and os.path.samefile(out, data):
            raise ArgumentError(
                f"--out {out!r} is the table itself, which would be lost.",
                fix="Give another name.",
            )

    def refuse_probabilities(self, what: str) -> None:
        """An error if probabilities are asked of a model that has none.

        Args:
            what: what the model does ("forecasts numbers").
        """
        if self.probabilities:
            raise ArgumentError(
                f"{self.model!r} {what}, which have no class probabilities.",
                fix="Leave out --probabilities.",
            )


class Task(ABC):
    """One kind of data: how a network for it is trained, used, measured and described.

    A task is found by its name (`--task`) or, for a trained model, by the section that it has in
    the model directory.
    """

    name: ClassVar[str]
    """What the user writes after `--task`; "" for what is found without."""
    section: ClassVar[str]
    """The name of its part of model.json."""
    kind: ClassVar[str]
    """What a trained model is, with its article: "a language model"."""
    options: ClassVar[tuple[str, ...]] = ()
    """The options of `train` that mean something, beside those of every task."""
    required: ClassVar[tuple[str, ...]] = ()
    """Those of them that must be given."""

    @abstractmethod
    def train(self, request: TrainRequest, output: Output) -> None:
        """Read, train, measure, save and report."""

    def predict(self, request: PredictRequest, output: Output) -> None:
        """Write what the model says about a file."""
        self._refuse("predict", request.model)

    def evaluate(self, model: str, data: str, output: Output) -> None:
        """Measure the model on a file whose answers are known."""
        self._refuse("evaluate", model)

    @abstractmethod
    def describe(self, info: ModelInfo, output: Output) -> dict[str, Any]:
        """Tell what the model is and how it was trained; the same as a plain dict."""

    @staticmethod
    @contextmanager
    def incomplete_report(output: Output) -> Iterator[None]:
        """Around what is told of a report: says so where the report is damaged."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError):
            output.warn("the report of the training is not whole; the model works without it")

    def _refuse(self, command: str, model: str) -> NoReturn:
        raise ArgumentError(
            f"`retrograd {command}` does not work with {model!r}, which is {self.kind}.",
            fix=f"`retrograd info {model}` tells what it is.",
        )

"""Language models: the next character of a text."""

from __future__ import annotations

from typing import Any

from ....train.saving import ModelInfo
from ...run import Output, count
from ..task import Task, TrainRequest
from .model import SECTION


class LanguageTask(Task):
    """`--task language`."""

    name = "language"
    section = SECTION
    kind = "a language model; `retrograd generate` writes with it"
    options = ("--minutes", "--network")

    def train(self, request: TrainRequest, output: Output) -> None:
        from .train import train_language

        train_language(request, output)

    def evaluate(self, model: str, data: str, output: Output) -> None:
        from .evaluate import evaluate_text

        evaluate_text(model, data, output)

    def describe(self, info: ModelInfo, output: Output) -> dict[str, Any]:
        from .model import load_language_model
        from .train import show_bits

        trained = load_language_model(str(info.path))
        report, symbols = trained.report, trained.vocabulary.symbols
        output.say(f"Predicts the next of {count(len(symbols), 'character')}: {''.join(symbols)!r}")
        with self.incomplete_report(output):
            output.say(
                f"Trained on {report['source']}: {count(report['parts']['train'], 'character')}, "
                f"{count(report['steps'], 'step')}. Bits per character on "
                f"{count(report['parts']['test'], 'character')}:"
            )
            show_bits(report["test_bits"], output)
        return {"task": self.name, "characters": list(symbols), "training": report}

"""Translation: texts in one language, and the same in another."""

from __future__ import annotations

from typing import Any

from ....train.saving import ModelInfo
from ...run import Output, count
from ..task import PredictRequest, Task, TrainRequest
from .model import SECTION


class TranslationTask(Task):
    """`--task translation`."""

    name = "translation"
    section = SECTION
    kind = "a translator"
    options = ("--source", "--target", "--test", "--minutes")
    required = ("--source", "--target")

    def train(self, request: TrainRequest, output: Output) -> None:
        from .train import train_translator

        train_translator(request, output)

    def predict(self, request: PredictRequest, output: Output) -> None:
        from .predict import translate_file

        translate_file(request, output)

    def evaluate(self, model: str, data: str, output: Output) -> None:
        from .predict import evaluate_translations

        evaluate_translations(model, data, output)

    def describe(self, info: ModelInfo, output: Output) -> dict[str, Any]:
        from .model import load_translation_model
        from .train import show_scores

        trained = load_translation_model(str(info.path))
        report = trained.report
        output.say(f"Translates {trained.source!r} into {trained.target!r}")
        output.say(f"Vocabulary: {count(len(trained.vocabulary), 'subword')}")
        with self.incomplete_report(output):
            output.say(
                f"Trained on {report['source']}: {count(report['parts']['train'], 'pair')}, "
                f"{count(report['steps'], 'step')}. chrF on "
                f"{count(report['parts']['test'], 'pair')}:"
            )
            show_scores(report["test_chrf"], report["nearest_by"], output)
        return {
            "task": self.name,
            "source": trained.source,
            "target": trained.target,
            "training": report,
        }

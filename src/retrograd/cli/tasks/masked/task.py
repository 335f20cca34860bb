"""Encoders of texts, pretrained on hidden tokens."""

from __future__ import annotations

from typing import Any

from ....train.saving import ModelInfo
from ...run import Output, count
from ..task import Task, TrainRequest
from .model import SECTION


class MaskedTask(Task):
    """`--task masked`."""

    name = "masked"
    section = SECTION
    kind = "an encoder of texts; `retrograd train TABLE --task text --encoder MODEL` starts from it"
    options = ("--minutes", "--tokens")

    def train(self, request: TrainRequest, output: Output) -> None:
        from .train import train_masked

        train_masked(request, output)

    def evaluate(self, model: str, data: str, output: Output) -> None:
        from .evaluate import evaluate_text

        evaluate_text(model, data, output)

    def describe(self, info: ModelInfo, output: Output) -> dict[str, Any]:
        from .model import load_masked_model
        from .train import show_scores

        trained = load_masked_model(str(info.path))
        report, noun = trained.report, trained.noun
        encoder = trained.network.encoder
        output.say(
            f"Knows {count(len(trained.vocabulary.symbols), f'different {noun}')}, reads "
            f"{encoder.context} at once"
        )
        with self.incomplete_report(output):
            output.say(
                f"Trained on {report['source']}: {count(report['parts']['train'], noun)}, "
                f"{count(report['steps'], 'step')}. At {count(report['hidden'], 'hidden ' + noun)}:"
            )
            show_scores(report["test"], output)
        return {"task": self.name, "tokens": trained.vocabulary.kind, "training": report}

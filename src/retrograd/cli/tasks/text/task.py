"""Classes of texts."""

from __future__ import annotations

from typing import Any

from ....train.saving import ModelInfo
from ...run import Output, count, shorten_list
from ..task import PredictRequest, Task, TrainRequest
from .model import SECTION


class TextTask(Task):
    """`--task text`."""

    name = "text"
    section = SECTION
    kind = "a classifier of texts"
    options = ("--target", "--text", "--network", "--encoder")
    required = ("--target",)

    def train(self, request: TrainRequest, output: Output) -> None:
        from .train import train_text

        train_text(request, output)

    def predict(self, request: PredictRequest, output: Output) -> None:
        from .predict import predict_texts

        predict_texts(request, output)

    def evaluate(self, model: str, data: str, output: Output) -> None:
        from .predict import evaluate_texts

        evaluate_texts(model, data, output)

    def describe(self, info: ModelInfo, output: Output) -> dict[str, Any]:
        from ..scores import lay_out_scores
        from .model import load_text_model

        trained = load_text_model(str(info.path))
        report, target = trained.report, trained.target
        output.say(f"Tells {target.name!r} from the text in {trained.column!r}")
        output.say(f"Classes: {shorten_list(target.classes, 10)}")
        with self.incomplete_report(output):
            rows = report["rows"]
            scores = {name.replace("_", " "): values for name, values in report["test"].items()}
            learned = "all rows" if report["refit"] else f"{rows['train']:,} rows"
            lines = lay_out_scores(scores)
            output.say(f"Network: {report['network']}")
            output.say(
                f"Trained on {report['source']}: {learned}, {count(report['epochs'], 'epoch')}. "
                f"Test on {count(rows['test'], 'row')}:"
            )
            output.show_table(lines)
        return {
            "task": self.name,
            "target": target.name,
            "text": trained.column,
            "classes": list(target.classes),
            "training": report,
        }

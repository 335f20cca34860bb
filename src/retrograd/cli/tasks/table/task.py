"""Tables: a column that is predicted from the others."""

from __future__ import annotations

from typing import Any

from ....train.saving import ModelInfo
from ...run import Output, count
from ..task import PredictRequest, Task, TrainRequest
from .model import SECTION


class TableTask(Task):
    """`--task classification`, `--task regression`, or none."""

    name = ""
    section = SECTION
    kind = "a model of a table"
    options = ("--target", "--drop", "--kind")
    required = ("--target",)

    def train(self, request: TrainRequest, output: Output) -> None:
        from .train import train_table

        train_table(request, output)

    def predict(self, request: PredictRequest, output: Output) -> None:
        from .predict import predict_rows

        predict_rows(request, output)

    def evaluate(self, model: str, data: str, output: Output) -> None:
        from .predict import evaluate_rows

        evaluate_rows(model, data, output)

    def describe(self, info: ModelInfo, output: Output) -> dict[str, Any]:
        from ..scores import lay_out_scores
        from .model import load_table_model
        from .train import show_plan

        trained = load_table_model(str(info.path))
        report, preprocessor = trained.report, trained.preprocessor
        output.say(f"Predicts {preprocessor.target.name!r} ({preprocessor.task})")
        if preprocessor.classes:
            shown = ", ".join(preprocessor.classes[:10])
            left = len(preprocessor.classes) - 10
            output.say(f"Classes: {shown}{f' and {left} more' if left > 0 else ''}")
        show_plan(trained.plan, output)
        with self.incomplete_report(output):
            rows, scores = report["rows"], report["test"]
            lines = lay_out_scores({k.replace("_", " "): values for k, values in scores.items()})
            learned = "all rows" if report["refit"] else f"{rows['train']:,} rows"
            output.say(
                f"Trained on {report['source']}: {learned}, {count(report['epochs'], 'epoch')}. "
                f"Test on {count(rows['test'], 'row')}:"
            )
            output.show_table(lines)
        columns = [{"column": a, "kind": b, "reason": c} for a, b, c in trained.plan.explain()]
        return {
            "task": preprocessor.task,
            "target": preprocessor.target.name,
            "classes": list(preprocessor.classes),
            "columns": columns,
            "features": list(preprocessor.feature_names),
            "training": report,
        }

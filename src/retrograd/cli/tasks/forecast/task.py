"""Forecasts: what follows a series of numbers."""

from __future__ import annotations

from typing import Any

from ....train.saving import ModelInfo
from ...run import Output, count, shorten_list
from ..task import PredictRequest, Task, TrainRequest
from .model import SECTION


class ForecastTask(Task):
    """`--task forecast`."""

    name = "forecast"
    section = SECTION
    kind = "a forecaster"
    options = ("--target", "--horizon", "--drop")
    required = ("--target", "--horizon")

    def train(self, request: TrainRequest, output: Output) -> None:
        from .train import train_forecast

        train_forecast(request, output)

    def predict(self, request: PredictRequest, output: Output) -> None:
        from .predict import predict_following

        predict_following(request, output)

    def evaluate(self, model: str, data: str, output: Output) -> None:
        from .predict import evaluate_series

        evaluate_series(model, data, output)

    def describe(self, info: ModelInfo, output: Output) -> dict[str, Any]:
        from .model import load_forecast_model
        from .scoring import show_scores

        trained = load_forecast_model(str(info.path))
        plan, report = trained.plan, trained.report
        output.say(f"Forecasts {trained.target!r}, {count(plan.horizon, 'step')} ahead")
        output.say(f"Sees {count(plan.window, 'step')}; a season has {count(plan.season, 'step')}")
        if trained.names:
            output.say(f"Also sees: {shorten_list([repr(name) for name in trained.names], 20)}")
        with self.incomplete_report(output):
            windows = report["windows"]
            output.say(
                f"Trained on {report['source']}: {count(windows['train'], 'window')}, "
                f"{count(report['epochs'], 'epoch')}. Mean absolute error on "
                f"{count(windows['test'], 'window')} by steps ahead:"
            )
            show_scores(report["test"], plan, output)
        return {
            "task": self.name,
            "target": trained.target,
            "columns": list(trained.names),
            "horizon": plan.horizon,
            "season": plan.season,
            "training": report,
        }

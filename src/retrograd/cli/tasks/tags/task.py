"""Tags of words: their parts of speech, the names among them, and the like."""

from __future__ import annotations

from typing import Any

from ....train.saving import ModelInfo
from ...run import Output, count, shorten_list
from ..task import PredictRequest, Task, TrainRequest
from .model import SECTION


class TagsTask(Task):
    """`--task tags`."""

    name = "tags"
    section = SECTION
    kind = "a tagger of words"
    options = ("--target", "--text")

    def train(self, request: TrainRequest, output: Output) -> None:
        from .train import train_tags

        train_tags(request, output)

    def predict(self, request: PredictRequest, output: Output) -> None:
        from .predict import predict_tags

        predict_tags(request, output)

    def evaluate(self, model: str, data: str, output: Output) -> None:
        from .predict import evaluate_tags

        evaluate_tags(model, data, output)

    def describe(self, info: ModelInfo, output: Output) -> dict[str, Any]:
        from .model import load_tag_model
        from .scoring import show_kinds, show_scores

        trained = load_tag_model(str(info.path))
        report, encoder = trained.report, trained.encoder
        output.say(f"Finds {count(len(encoder.tags), 'tag')}: {shorten_list(encoder.tags, 40)}")
        output.say(
            f"Knows {count(len(encoder.words), 'word')} and "
            f"{count(len(encoder.characters), 'character')}; sees {encoder.letters} characters of "
            "a word"
        )
        with self.incomplete_report(output):
            sequences, words = report["sequences"], report["words"]
            output.say(
                f"Trained on {report['source']}: {count(sequences['train'], 'sequence')}, "
                f"{count(words['train'], 'word')}, {count(report['epochs'], 'epoch')}. Test on "
                f"{count(words['test'], 'word')}:"
            )
            show_scores(report["test"], output)
            show_kinds(report["kinds"], output)
        return {"task": self.name, "tags": list(encoder.tags), "training": report}

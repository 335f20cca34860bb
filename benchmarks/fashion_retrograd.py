"""The side of retrograd in `fashion.py`: one training, a line with the accuracy for each epoch."""

from __future__ import annotations

import json
import sys
from typing import Any

import retrograd as rg
from retrograd import nn, optim
from retrograd.workloads import LEARNING_RATE, WORKLOADS, make_model


class Print(rg.Callback):
    def on_epoch_end(self, trainer: rg.Trainer, event: Any) -> None:
        print(event.values["val_accuracy"], flush=True)


def main() -> None:
    settings = json.loads(sys.argv[1])
    (x, y), (x_test, y_test) = rg.datasets.fashion_mnist(settings["data"])
    rg.seed(settings["seed"])
    network = WORKLOADS["cnn"]
    model = nn.Sequential(nn.Rescale(1 / 255), make_model(network))
    trainer = rg.Trainer(model, "cross_entropy", optim.Adam(LEARNING_RATE), metrics=["accuracy"])
    trainer.fit(
        x[..., None],
        y,
        settings["epochs"],
        batch_size=network.batch,
        validation_data=(x_test[..., None], y_test),
        callbacks=[Print()],
        verbose=False,
    )


if __name__ == "__main__":
    main()

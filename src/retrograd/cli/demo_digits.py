"""What `retrograd demo` computes: split, network, training, test, files."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import nn, optim
from ..data.datasets import digits
from ..data.split import stratified_split
from ..errors import SaveError
from ..ops import random
from ..train.callbacks import EarlyStopping
from ..train.files import write_atomically
from ..train.history import History
from ..train.saving import load_model_info, save_model
from ..train.trainer import Trainer
from .destination import check_destination
from .progress import LiveBar
from .tasks.scores import report_classes

Numbers = np.ndarray[Any, Any]

SECTION = "digits"
TEST_SHARE = 0.2
VALIDATION_SHARE = 0.15
EPOCHS = 40
PATIENCE = 12
BATCH = 64
CURVES, EXAMPLES = "curves.png", "predictions.png"


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A trained and tested network.

    Args:
        model: with the weights of its best epoch.
        history: of the training.
        best_epoch: by the loss on the validation part.
        training, validation: the rows of each, of the part that was not put aside.
        images, labels: the test part.
        outputs: logits for the test part, (images, 10).
        report: accuracy and confusions by class.
        is_interrupted: whether Ctrl-C ended the training.
        seed: of the split and the training.
    """

    model: nn.Sequential
    history: History
    best_epoch: int
    training: Numbers
    validation: Numbers
    images: Numbers
    labels: Numbers
    outputs: Numbers
    report: dict[str, Any]
    is_interrupted: bool
    seed: int

    @property
    def accuracy(self) -> float:
        """The share of the test part that was recognised."""
        return float((self.outputs.argmax(axis=1) == self.labels).mean())


def build_network() -> nn.Sequential:
    """Three convolutions, a pooling after the second, and a linear layer.

    Example:
        >>> import retrograd as rg
        >>> build_network()(rg.zeros((2, 8, 8, 1))).shape
        (2, 10)
    """
    return nn.Sequential(
        nn.Rescale(1 / 16),
        nn.Conv2d(1, 32, 3, padding="same"),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.4),
        nn.Conv2d(32, 64, 3, padding="same"),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(1024, 10),
    )


def train_digits(seed: int) -> Result:
    """Put a fifth aside, train on most of the rest, stop on the others, test once.

    Args:
        seed: of the split and the training; a whole number from 0.
    """
    (x, y), (images, labels) = digits(TEST_SHARE, seed)
    training, validation = stratified_split(y, VALIDATION_SHARE, seed)
    x, images = x[..., None], images[..., None]
    random.seed(seed)
    model = build_network()
    trainer = Trainer(
        model, "cross_entropy", optim.AdamW(2e-3, weight_decay=0.01), metrics=["accuracy"]
    )
    stopping = EarlyStopping(PATIENCE)
    history = trainer.fit(
        x[training],
        y[training],
        epochs=EPOCHS,
        batch_size=BATCH,
        validation_data=(x[validation], y[validation]),
        callbacks=[stopping, LiveBar("training")],
        verbose=False,
    )
    outputs = np.asarray(trainer.predict(images))
    names = [str(digit) for digit in range(10)]
    return Result(
        model,
        history,
        stopping.best_epoch or 0,
        training,
        validation,
        images,
        labels,
        outputs,
        report_classes(labels, outputs.argmax(axis=1), names),
        history.stopped_by == "interrupt",
        seed,
    )


def check_demo_destination(path: str) -> None:
    """Refuse a directory that no demo wrote: a demo overwrites only its own.

    Raises:
        SaveError: something else is there, or it cannot be written.
    """
    is_own = False
    if (Path(path) / "model.json").is_file():
        is_own = SECTION in load_model_info(path).extra
        if not is_own:
            raise SaveError(
                f"{path!r} holds a model that the demo did not write.",
                fix="Choose another directory with --out.",
            )
    check_destination(path, force=is_own)


def save_demo(result: Result, path: str, seconds: float) -> list[str]:
    """Write the model, and pictures where matplotlib is installed.

    Returns:
        The pictures' paths; none without matplotlib.
    """
    section = {
        "seed": result.seed,
        "test_accuracy": result.accuracy,
        "test_digits": len(result.labels),
        "epochs": len(result.history.epochs),
        "best_epoch": result.best_epoch,
        "seconds": round(seconds, 3),
        "input": "uint8 images (batch, 8, 8, 1), 0 to 16",
    }
    save_model(result.model, path, extra={SECTION: section, "classes": list("0123456789")})
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        for name in (CURVES, EXAMPLES):  # of an earlier demo: they would show another network
            (Path(path) / name).unlink(missing_ok=True)
        return []
    curves, examples = os.path.join(path, CURVES), os.path.join(path, EXAMPLES)
    result.history.plot(curves)
    write_atomically(examples, draw_examples(result))
    return [curves, examples]


def draw_examples(result: Result, rows: int = 4, columns: int = 10) -> bytes:
    """A picture of test digits with what the network read, its mistakes first, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    chosen = result.outputs.argmax(axis=1)
    wrong = np.flatnonzero(chosen != result.labels)[: rows * columns // 2]
    right = np.flatnonzero(chosen == result.labels)[: rows * columns - len(wrong)]
    figure = Figure(figsize=(0.95 * columns, 1.15 * rows + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(
        f"Test digits and what the network read: {100 * result.accuracy:.2f} % right, "
        "mistakes first (true digit in brackets)"
    )
    for place, row in enumerate([*wrong.tolist(), *right.tolist()], start=1):
        axes: Any = figure.add_subplot(rows, columns, place)
        axes.imshow(result.images[row, :, :, 0], cmap="gray_r", vmin=0, vmax=16)
        axes.set_axis_off()
        is_wrong = chosen[row] != result.labels[row]
        text = f"{chosen[row]} ({result.labels[row]})" if is_wrong else f"{chosen[row]}"
        axes.set_title(text, color="crimson" if is_wrong else "black", fontsize=11)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()

"""What bad input gets: an error that says what, where and what to do; the model stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn, optim
from retrograd.errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    DivergedError,
    DTypeError,
    IndexRangeError,
    RetrogradError,
    ShapeError,
)
from tests.train.helpers import bits_of, make_data, make_trainer

X, Y = make_data(30)


def with_value(array: np.ndarray[Any, Any], index: Any, value: float) -> np.ndarray[Any, Any]:
    changed = array.astype(np.float64)
    changed[index] = value
    return changed


Case = tuple[dict[str, Any], type[RetrogradError], str, str]

FIT_CASES: dict[str, Case] = {
    "lengths": ({"y": Y[:-1]}, DataError, r"x has 30 samples, y has 29", "same order"),
    "empty": ({"x": X[:0], "y": Y[:0]}, DataError, r"x is empty.*\(0, 4\)", "how the data"),
    "scalar": ({"x": 3.0}, ShapeError, "single number", "samples"),
    "missing": ({"x": None}, ArgumentTypeError, "x is missing", "pass an array"),
    "nan": (
        {"x": with_value(X, (7, 2), np.nan)},
        DataError,
        r"x has the value nan at sample 7, feature 2 \(1 of 30 samples",
        "fill the gaps",
    ),
    "infinite": ({"x": with_value(X, (3, 0), -np.inf)}, DataError, "-inf at sample 3", "remove"),
    "huge": ({"x": with_value(X, (3, 0), 1e60)}, DataError, "inf at sample 3", "remove"),
    "float labels": ({"y": Y.astype(np.float64)}, DTypeError, "integers from 0 to 2", "int32"),
    "nan target": (
        {"y": with_value(Y, 4, np.nan)},
        DataError,
        "y has the value nan at sample 4",
        "remove",
    ),
    "label too large": ({"y": Y + 1}, IndexRangeError, "label 3 .* 3 classes", "labels - 1"),
    "negative label": ({"y": Y - 1}, IndexRangeError, "label -1", "sample_weight of 0"),
    "column of labels": ({"y": Y[:, None]}, ShapeError, r"\(30, 1\)", r"labels\[:, 0\]"),
    "mixed objects": (
        {"x": np.array([*[[1.0] * 4] * 29, [1.0, "red", 2, 3]], object)},
        DataError,
        "object values such as 'red'",
        "numbers",
    ),
    "list of inputs": ({"x": [X, X[:, :2]]}, DataError, "not a regular array", "tuple or dict"),
    "strings": ({"x": X.astype(str)}, DataError, "<U.* values such as", "numbers"),
    "string labels": ({"y": np.array(["a", "b", "c"] * 10)}, DataError, "'a'", "return_inverse"),
    "objects": ({"x": np.array([[1, None]] * 30, object)}, DataError, "object", "numbers"),
    "complex": ({"x": X + 1j}, DTypeError, "complex128", "float32"),
    "ragged": ({"x": [[1, 2], [3]] * 15}, DataError, "different lengths", "pad"),
    "tree lengths": ({"x": {"a": X, "b": X[:5]}}, DataError, "x.a: 30, x.b: 5", "same first"),
    "batch size 0": ({"batch_size": 0}, ArgumentError, "batch_size is at least 1", ""),
    "batch size 1.5": ({"batch_size": 1.5}, ArgumentTypeError, "whole number, received 1.5", ""),
    "batch size True": ({"batch_size": True}, ArgumentTypeError, "received True", ""),
    "epochs -1": ({"epochs": -1}, ArgumentError, "epochs is at least 1, received -1", ""),
    "epochs text": ({"epochs": "5"}, ArgumentTypeError, "epochs is a whole number", ""),
    "class weight length": (
        {"class_weight": [1, 2]},
        ArgumentError,
        r"\(2,\); expected \(3,\)",
        "output",
    ),
    "class weight key": ({"class_weight": {5: 1.0}}, ArgumentError, "names class 5", ""),
    "class weight word": ({"class_weight": "even"}, ArgumentError, "'balanced'", ""),
    "class weight sign": ({"class_weight": [1, -1, 1]}, ArgumentError, "at least 0", ""),
    "weight length": ({"sample_weight": np.ones(29)}, ArgumentError, r"\(30,\)", ""),
    "weight sign": (
        {"sample_weight": with_value(np.ones(30), 8, -1)},
        ArgumentError,
        r"-1.0 \(number 8\)",
        "weight 0",
    ),
    "weight zero": ({"sample_weight": np.zeros(30)}, ArgumentError, "All sample weights", ""),
    "validation shape": (
        {"validation_data": (X[:, :3], Y)},
        ShapeError,
        r"x of validation_data has shape \(3,\)",
        "same way",
    ),
    "validation lengths": ({"validation_data": (X, Y[:3])}, DataError, "30 samples.*has 3", ""),
    "validation nan": (
        {"validation_data": (with_value(X, (1, 1), np.nan), Y)},
        DataError,
        "x of validation_data has the value nan",
        "",
    ),
    "validation labels": ({"validation_data": (X, Y + 5)}, IndexRangeError, "label", ""),
    "validation form": ({"validation_data": X}, ArgumentTypeError, "validation_data is", ""),
    "validation twice": (
        {"validation_data": (X, Y), "validation_split": 0.1},
        ArgumentError,
        "not both",
        "",
    ),
    "split 1": ({"validation_split": 1.0}, ArgumentError, "validation_split", ""),
    "split too small": ({"validation_split": 0.01}, DataError, "0 to validate on", "more samples"),
    "split of one row": (
        {"x": X[:1], "y": Y[:1], "validation_split": 0.3},
        DataError,
        "of 1 samples",
        "more samples",
    ),
    "callback class": ({"callbacks": [rg.Callback]}, ArgumentTypeError, "instance", r"\(\)"),
    "callback monitor": (
        {"callbacks": [rg.EarlyStopping(patience=1)]},
        ArgumentError,
        "'val_loss', but there is no validation data",
        "validation_split=0.2",
    ),
    "callback name": (
        {"callbacks": [rg.StopAtMetric("acuracy", 0.9)]},
        ArgumentError,
        "Did you mean 'accuracy'",
        "metrics",
    ),
}


@pytest.mark.parametrize("name", FIT_CASES)
def test_fit_refuses(name: str) -> None:
    changes, kind, message, fix = FIT_CASES[name]
    trainer = make_trainer()
    before = bits_of(trainer)
    arguments: dict[str, Any] = {"x": X, "y": Y, "epochs": 1, "verbose": False, **changes}
    with pytest.raises(kind, match=message) as caught:
        trainer.fit(**arguments)
    import re

    assert re.search(fix, caught.value.fix or ""), caught.value.fix
    assert caught.value.where is None or "retrograd/src" not in caught.value.where.file
    assert bits_of(trainer) == before
    trainer.fit(X, Y, 1, verbose=False)  # and it is usable


@pytest.mark.parametrize("call", ["evaluate", "predict"])
def test_evaluate_and_predict_refuse_the_same(call: str) -> None:
    trainer = make_trainer()
    rest = (Y,) if call == "evaluate" else ()
    method = getattr(trainer, call)
    with pytest.raises(DataError, match="nan at sample 7"):
        method(with_value(X, (7, 2), np.nan), *rest)
    with pytest.raises(DataError, match="empty"):
        method(X[:0], *(part[:0] for part in rest))
    with pytest.raises(ArgumentError, match="batch_size"):
        method(X, *rest, batch_size=0)


@pytest.mark.parametrize(
    ("outputs", "targets", "fix"),
    [((1,), (30,), r"targets\[:, None\]"), ((), (30, 1), r"targets\[:, 0\]")],
)
@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "binary_cross_entropy"])
def test_columns_against_rows_are_told_apart(
    loss: str, outputs: tuple[int, ...], targets: tuple[int, ...], fix: str
) -> None:
    class Line(nn.Module):
        def __init__(self) -> None:
            self.linear = nn.Linear(4, 1)

        def __call__(self, x: Any) -> Any:
            return self.linear(x).reshape(x.shape[0], *outputs)

    trainer = rg.Trainer(Line(), loss=loss, optimizer=optim.SGD(0.1))
    with pytest.raises(ShapeError, match=r"must have one shape|one shape") as caught:
        trainer.fit(X, np.zeros(targets, np.float32), 1, verbose=False)
    assert caught.value.fix and __import__("re").search(fix, caught.value.fix)


@pytest.mark.parametrize(
    ("final", "loss", "word"),
    [
        (nn.Softmax(), "cross_entropy", "softmax"),
        (rg.softmax, "cross_entropy", "softmax"),
        (nn.Sigmoid(), "cross_entropy", "sigmoid"),
        (nn.Sigmoid(), "binary_cross_entropy", "sigmoid"),
        (lambda x: rg.exp(x) / rg.sum(rg.exp(x), 1, keepdims=True), "cross_entropy", ""),
        (lambda x: rg.sigmoid(x).reshape(-1, 3)[:, :], "cross_entropy", "sigmoid"),
    ],
)
def test_probabilities_where_logits_are_due(
    final: Callable[[Any], Any], loss: str, word: str
) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.linear, self.final = nn.Linear(4, 3), final

        def __call__(self, x: Any) -> Any:
            return self.final(self.linear(x))

    y = Y if loss == "cross_entropy" else np.zeros((30, 3))
    trainer = rg.Trainer(Net(), loss=loss, optimizer=optim.SGD(0.1))
    if not word:  # exp is computed twice: not the pattern, and no false alarm either
        trainer.fit(X, y, 1, verbose=False)
        return
    with pytest.raises(ArgumentError, match=f"ends in {word}.*takes logits") as caught:
        trainer.fit(X, y, 1, verbose=False)
    assert "leave the" in (caught.value.fix or "")


@pytest.mark.parametrize(
    "final",
    [
        nn.SiLU(),
        nn.LogSoftmax(),
        nn.Tanh(),
        lambda x: rg.softmax(x) * 2.0,
        lambda x: x / rg.sum(rg.exp(x)),
    ],
)
def test_no_false_alarm_for_other_endings(final: Callable[[Any], Any]) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.linear, self.final = nn.Linear(4, 3), final

        def __call__(self, x: Any) -> Any:
            return self.final(self.linear(x))

    rg.Trainer(Net(), loss="cross_entropy", optimizer=optim.SGD(0.1)).fit(X, Y, 1, verbose=False)


def test_a_sigmoid_is_fine_under_a_loss_of_probabilities() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Sigmoid())
    rg.Trainer(model, loss="mse", optimizer=optim.SGD(0.1)).fit(X, np.eye(3)[Y], 1, verbose=False)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"model": nn.Linear}, ArgumentTypeError, "nn.Module"),
        ({"optimizer": "adam"}, ArgumentTypeError, "'adam'"),
        ({"optimizer": optim.Adam}, ArgumentTypeError, "Adam"),
        ({"loss": "crossentropy"}, ArgumentError, "Did you mean 'cross_entropy'"),
        ({"loss": 3}, ArgumentTypeError, "int"),
        ({"metrics": ["acc"]}, ArgumentError, "Did you mean 'accuracy'"),
        ({"metrics": ["accuracy", "accuracy"]}, ArgumentError, "two values"),
        ({"executor": "cuda"}, ArgumentError, "cuda"),
    ],
)
def test_the_trainer_refuses(
    arguments: dict[str, Any], kind: type[RetrogradError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        make_trainer(**arguments)


def test_a_model_without_parameters_cannot_be_trained() -> None:
    for model in (nn.Sequential(nn.Tanh()), nn.Sequential(nn.Linear(4, 3)).freeze()):
        with pytest.raises(ArgumentError, match="no parameters") as caught:
            make_trainer(model=model).fit(X, Y, 1, verbose=False)
        assert "unfreeze" in (caught.value.fix or "")


def test_a_loss_of_one_number_cannot_be_weighted() -> None:
    trainer = make_trainer(loss=lambda outputs, targets: (outputs * outputs).mean(), metrics=[])
    trainer.fit(X, Y, 1, verbose=False)
    with pytest.raises(ArgumentError, match="weighted"):
        trainer.fit(X, Y, 1, sample_weight=np.ones(30), verbose=False)


def test_a_shape_error_inside_the_model_names_the_users_line() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.weight = rg.zeros((5, 3))

        def __call__(self, x: Any) -> Any:
            return x @ self.weight  # the line that is named

    with pytest.raises(ShapeError, match=r"4.*5") as caught:
        rg.Trainer(Net(), "cross_entropy", optim.SGD(0.1)).fit(X, Y, 1, verbose=False)
    assert "the line that is named" in str(caught.value)


def test_divergence_stops_with_place_and_goes_back_to_the_last_epoch() -> None:
    kept: list[dict[str, bytes]] = []

    class Explode(rg.Callback):
        def on_epoch_end(self, trainer: rg.Trainer, event: Any) -> None:
            kept.append(bits_of(trainer))
            if event.epoch == 2:
                trainer.optimizer.learning_rate = 1e30

    trainer = make_trainer(model=nn.Sequential(nn.Linear(4, 3)), loss="mse", metrics=[])
    with pytest.raises(DivergedError, match=r"epoch 3, batch [23] of 3.*end of epoch 2") as caught:
        trainer.fit(X, np.eye(3)[Y], 5, batch_size=10, callbacks=[Explode()], verbose=False)
    assert "learning rate (now 1e+30)" in (caught.value.fix or "")
    after = bits_of(trainer)
    assert {k: v for k, v in after.items() if k.startswith("layers")} == {
        k: v for k, v in kept[-1].items() if k.startswith("layers")
    }
    assert trainer.history is not None and trainer.history.stopped_by == "divergence"
    assert len(trainer.history["loss"]) == 2


def test_divergence_with_early_stopping_leaves_the_best_weights() -> None:
    stopping = rg.EarlyStopping(patience=9, monitor="loss", minimum_delta=1e9)  # best: epoch 1
    first: list[bytes] = []

    class Explode(rg.Callback):
        def on_epoch_end(self, trainer: rg.Trainer, event: Any) -> None:
            first.append(trainer.model.layers[0].weight.numpy().tobytes())
            if event.epoch == 3:
                trainer.optimizer.learning_rate = 1e30

    trainer = make_trainer(model=nn.Sequential(nn.Linear(4, 3)), loss="mse", metrics=[])
    with pytest.raises(DivergedError):
        trainer.fit(X, np.eye(3)[Y], 9, callbacks=[stopping, Explode()], verbose=False)
    assert trainer.model.layers[0].weight.numpy().tobytes() == first[0] != first[1]


def test_metrics_of_classes_are_not_for_amounts() -> None:
    """Without the check, `accuracy` would compare signs of outputs with amounts above one half."""
    trainer = make_trainer(model=nn.Linear(4, 1), loss="mse", metrics=["f1"])
    for call in (trainer.evaluate, lambda x, y: trainer.fit(x, y, epochs=1, verbose=False)):
        with pytest.raises(ArgumentError, match=r"metric f1 judges classes, but y has 2 at sample"):
            call(X, Y[:, None].astype(np.float64))
    decisions = (Y[:, None] > 0).astype(np.float64)
    assert set(trainer.evaluate(X, decisions)) == {"loss", "f1"}


class Branches(nn.Module):
    def __init__(self) -> None:
        self.body = nn.Linear(4, 3)

    def __call__(self, x: Any) -> Any:
        return {"a": self.body(x), "b": self.body(x)}


def test_a_metric_of_one_array_says_so() -> None:
    def loss(outputs: Any, targets: Any) -> Any:
        return (outputs["a"] + outputs["b"]).mean()

    trainer = make_trainer(model=Branches(), loss=loss)
    with pytest.raises(ArgumentTypeError, match="returns several arrays; the metric accuracy"):
        trainer.evaluate(X, Y)


def test_one_sample_without_its_axis_is_not_predicted_as_several() -> None:
    trainer = make_trainer(model=nn.Linear(4, 3))
    with pytest.raises(ShapeError, match=r"For 4 samples .* shape \(3,\)") as caught:
        trainer.predict(X[0])
    assert "x[None]" in str(caught.value)
    assert trainer.predict(X[0][None]).shape == (1, 3)


def test_numbers_held_as_objects_are_numbers() -> None:
    trainer = make_trainer(model=nn.Linear(4, 3))
    mixed = np.empty(X.shape, object)
    mixed[:] = X
    mixed[0] = [1, True, np.float32(0.5), 2.0]
    want = X.copy()
    want[0] = [1, 1, 0.5, 2]
    assert trainer.predict(mixed).tobytes() == trainer.predict(want).tobytes()

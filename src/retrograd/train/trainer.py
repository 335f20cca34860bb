"""Trainer: fit, evaluate, predict, save and resume."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import tree
from ..data.split import check_fraction, stratified_split
from ..errors import ArgumentError, ArgumentTypeError, DataError, ShapeError, StateError
from ..metrics import Metric
from ..nn import Module
from ..optim import Optimizer
from .callbacks import HIGHER, LOWER, Callback
from .checks import (
    as_data,
    check_class_weight,
    check_count,
    check_finite,
    check_lengths,
    check_same_form,
    check_weights,
    count_samples,
)
from .history import VALIDATION, History
from .loop import EVALUATION_BATCH, FitLoop, Plan, set_modes
from .objective import check_metrics, find_metrics, find_objective
from .progress import ProgressBar
from .samples import Running, Samples
from .step import Programs, parameter_dtype
from .steps import run_all


class Trainer:
    """Trains a model on arrays: one compiled step, epochs, metrics, callbacks.

    Args:
        model: a Module, called with a batch of x.
        loss: a name in `rg.losses` ("cross_entropy", "mse", ...) or a function
            `(outputs, targets)` to a scalar (the mean) or to one loss for each sample. It may take
            `sample_weight` and `class_weight`.
        optimizer: from `rg.optim`.
        metrics: names in `rg.metrics` ("accuracy", ...) or Metrics.
        executor: what runs the compiled step, as for `rg.compile`.
        loss_options: keyword arguments for the loss, for example `{"label_smoothing": 0.1}`.

    Example:
        >>> import numpy as np, retrograd as rg
        >>> from retrograd import nn, optim
        >>> class Line(nn.Module):
        ...     def __init__(self):
        ...         self.slope = rg.array(0.0)
        ...
        ...     def __call__(self, x):
        ...         return self.slope * x
        >>> x = np.linspace(-1.0, 1.0, 16)
        >>> trainer = rg.Trainer(Line(), loss="mse", optimizer=optim.SGD(learning_rate=0.5))
        >>> history = trainer.fit(x, 3.0 * x, epochs=20, batch_size=16, verbose=False)
        >>> round(float(trainer.model.slope), 2)
        3.0
    """

    def __init__(
        self,
        model: Module,
        loss: Any,
        optimizer: Optimizer,
        metrics: Sequence[str | Metric] = (),
        executor: str = "native",
        loss_options: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(model, Module):
            raise ArgumentTypeError(
                f"Trainer trains an nn.Module, received {type(model).__name__}.",
                fix="pass an instance of your Module: rg.Trainer(Net(), ...)",
            )
        if not isinstance(optimizer, Optimizer):
            raise ArgumentTypeError(
                f"optimizer is an Optimizer, received {optimizer!r}.",
                fix="pass for example optimizer=rg.optim.Adam(learning_rate=1e-3)",
            )
        optimizer.check_owner(model)
        self.model = model
        self.optimizer = optimizer
        self.objective = find_objective(loss, loss_options)
        self.metrics = find_metrics(metrics)
        self.programs = Programs(self.objective, self.metrics, executor)
        self._loop: FitLoop | None = None
        self._running = False

    def fit(
        self,
        x: Any,
        y: Any,
        epochs: int,
        batch_size: int = 32,
        validation_data: tuple[Any, ...] | None = None,
        validation_split: float = 0.0,
        sample_weight: Any = None,
        class_weight: Any = None,
        shuffle: bool = True,
        callbacks: Sequence[Callback] = (),
        verbose: bool = True,
        resume: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train the model.

        A further call goes on with the optimizer, its schedule and the random generator, without
        a new trace. Ctrl-C ends training after the step and returns; a second one raises.

        Args:
            x: an array (samples, ...), or a dict or tuple of arrays, which the model is called
                with. Floating numbers are cast to the parameters' dtype, uint8 stays uint8.
            y: the targets, one for each sample.
            epochs: how often the model sees all samples.
            batch_size: samples in a step; 1 is single-sample, `len(x)` full-batch training. The
                last batch of an epoch may be smaller (with BatchNorm a last batch of one sample
                joins the one before); epoch means are over samples.
            validation_data: `(x, y)` or `(x, y, sample_weight)`.
            validation_split: the share of samples to validate on instead: always the same ones,
                with an equal share of each class if y holds integer labels.
            sample_weight: (samples,), at least 0.
            class_weight: (classes,), a dict from class to weight, or "balanced".
            shuffle: draw the order of the samples anew in each epoch, from `rg.seed`'s generator.
            callbacks: called in this order.
            verbose: show progress.
            resume: a directory from `save`: go on exactly where that training stood. Pass the
                same data and callbacks.

        Returns:
            The History: `history["loss"]` holds one number for each epoch.

        Raises:
            DataError, ShapeError, DTypeError, IndexRangeError: the data do not fit.
            DivergedError: the loss or the weights became NaN or infinite.
            FileFormatError: `resume` is not a saved training, or is damaged.

        Example:
            >>> import numpy as np, retrograd as rg
            >>> from retrograd import nn, optim
            >>> x, y = np.eye(3), np.array([0, 1, 2])
            >>> trainer = rg.Trainer(nn.Linear(3, 3), "cross_entropy", optim.Adam(), ["accuracy"])
            >>> history = trainer.fit(x, y, epochs=2, batch_size=2, verbose=False)
            >>> len(history["loss"]), len(history["accuracy"])
            (2, 2)
        """
        if self._running:
            raise StateError("fit was called inside a callback of fit.")
        plan = Plan(
            check_count(epochs, "epochs"), check_count(batch_size, "batch_size"), bool(shuffle)
        )
        observers = check_callbacks(callbacks)
        if not tree.leaves(self.model.parameters()):
            raise ArgumentError(
                f"{type(self.model).__name__} has no parameters to train.",
                fix="call model.unfreeze() if they are frozen; a parameter is a floating "
                "rg.Array that is an attribute of a Module",
            )
        training = self._prepare(x, y, sample_weight, class_weight)
        validation = None
        if validation_data is not None:
            if validation_split:
                raise ArgumentError("Pass validation_data or validation_split, not both.")
            validation = self._prepare_validation(validation_data, training)
        elif validation_split:
            training, validation = split_samples(training, validation_split)
        if verbose:
            observers.append(ProgressBar())
        loop = FitLoop(self, training, validation, plan, observers)
        if resume is not None:
            from .checkpoint import load_run

            load_run(resume, self, loop)
        self._loop = loop
        self._running = True
        try:
            return loop.run()
        finally:
            self._running = False

    def evaluate(
        self, x: Any, y: Any, batch_size: int = EVALUATION_BATCH, sample_weight: Any = None
    ) -> dict[str, float]:
        """The mean loss and the metrics on data, in eval mode.

        Args:
            x, y: as for fit.
            batch_size: how many samples at once; it changes no more than rounding.
            sample_weight: (samples,), at least 0.

        Returns:
            `{"loss": ..., "accuracy": ...}`.

        Raises:
            DataError, ShapeError, DTypeError, IndexRangeError: the data do not fit.

        Example:
            >>> import numpy as np, retrograd as rg
            >>> from retrograd import nn, optim
            >>> x, y = np.eye(3), np.array([0, 1, 2])
            >>> trainer = rg.Trainer(nn.Linear(3, 3), "cross_entropy", optim.Adam(), ["accuracy"])
            >>> sorted(trainer.evaluate(x, y))
            ['accuracy', 'loss']
        """
        samples = self._prepare(x, y, sample_weight, None)
        running = Running(self.metrics)
        with self._evaluating():
            steps = self.programs.evaluation(self.model, samples)
            for results in run_all(steps, check_count(batch_size, "batch_size")):
                running.add(results.losses, results.masses, results.size, results.sums)
        return running.values()

    def predict(self, x: Any, batch_size: int = EVALUATION_BATCH) -> Any:
        """What the model returns for x, in eval mode.

        Args:
            x: as for fit.
            batch_size: how many samples at once.

        Returns:
            A NumPy array (samples, ...), or a tree of them if the model returns one.

        Raises:
            DataError: x is empty, or has NaN or infinite values.

        Example:
            >>> import numpy as np, retrograd as rg
            >>> from retrograd import nn, optim
            >>> rg.Trainer(nn.Linear(3, 2), "mse", optim.Adam()).predict(np.ones((5, 3))).shape
            (5, 2)
        """
        data = as_data(x, "x", parameter_dtype(self.model))
        samples = Samples(data, None, count_samples(data))
        check_finite(data, "x", "feature")
        outputs: list[Any] = []
        with self._evaluating():
            for start in range(0, samples.count, check_count(batch_size, "batch_size")):
                batch = samples.batch(slice(start, start + batch_size))
                output = self.programs.predict(self.model, batch)
                for leaf in tree.leaves(output):
                    if leaf.ndim == 0 or leaf.shape[0] != batch.size:
                        raise ShapeError(
                            f"For {batch.size} samples the model returned an array of shape "
                            f"{leaf.shape}.",
                            fix="the first axis of x and of the outputs is the samples; one sample "
                            "is passed as x[None]",
                        )
                outputs.append(output)
        return (
            outputs[0]
            if len(outputs) == 1
            else tree.map(lambda *parts: np.concatenate(parts), *outputs)
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the training into a directory, for `fit(..., resume=path)`.

        It holds weights, buffers, optimizer, random generator, position in the epoch, history
        and the states of callbacks. An earlier one is replaced when the new one is complete.

        Args:
            path: the directory. Inside a callback it is written when all callbacks have run.

        Raises:
            SaveError: it cannot be written. The earlier one is untouched.

        Example:
            >>> import os, tempfile, retrograd as rg
            >>> from retrograd import nn, optim
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     run = os.path.join(folder, "run")
            ...     rg.Trainer(nn.Linear(3, 2), "mse", optim.Adam()).save(run)
            ...     sorted(os.listdir(run))
            ['training.json', 'training.safetensors', 'weights.safetensors']
        """
        if self._loop is not None and self._loop.dispatching:
            self._loop.save_later(os.fspath(path))
            return
        from .checkpoint import save_run

        save_run(path, self)

    def stop(self, reason: str) -> None:
        """End the running training after this event; for callbacks.

        Args:
            reason: kept as `history.stopped_by`.
        """
        if self._loop is None or not self._running:
            raise StateError("There is no running training to stop.")
        if self._loop.stop_reason is None:
            self._loop.stop_reason = str(reason)

    @property
    def history(self) -> History | None:
        """The History of the last call of fit."""
        return None if self._loop is None else self._loop.history

    @property
    def loop(self) -> FitLoop | None:
        """The last call of fit; for saving."""
        return self._loop

    @property
    def trace_count(self) -> int:
        """How many training steps have been traced: one for each shape of a batch."""
        return self.programs.trace_count

    def better_direction(self, name: str) -> str:
        """Whether a value of this name is better when "higher" or "lower"."""
        metric = self.metrics.get(name.removeprefix(VALIDATION))
        return HIGHER if metric is not None and metric.better == HIGHER else LOWER

    # -- preparation --------------------------------------------------------------------------

    def _prepare(self, x: Any, y: Any, weight: Any, class_weight: Any, suffix: str = "") -> Samples:
        """The data, converted and checked against each other and against the model."""
        dtype = parameter_dtype(self.model)
        x_name, y_name = f"x{suffix}", f"y{suffix}"
        inputs, targets = as_data(x, x_name, dtype), as_data(y, y_name, dtype)
        count = check_lengths(inputs, targets, x_name, y_name)
        check_finite(inputs, x_name, "feature")
        check_finite(targets, y_name, "target")
        weights = check_weights(weight, count, dtype, targets)
        samples = Samples(inputs, targets, count)
        with self._evaluating():
            graph, outputs = self.programs.output_graph(self.model, samples.batch(slice(0, 1)))
        self.objective.check_model(graph)
        self.objective.check_targets(targets, outputs)
        check_metrics(self.metrics, targets, outputs)
        classes = outputs.shape[-1] if self.objective.name == "cross_entropy" else None
        balance = check_class_weight(class_weight, targets, classes)
        return self.objective.weigh(samples, weights, balance, dtype)

    def _prepare_validation(self, data: Any, training: Samples) -> Samples:
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise ArgumentTypeError(
                "validation_data is (x, y) or (x, y, sample_weight), received "
                f"{type(data).__name__}."
            )
        dtype, (x, y, *weight) = parameter_dtype(self.model), data
        name = " of validation_data"
        check_same_form(training.x, as_data(x, "x" + name, dtype), "x", "x" + name)
        check_same_form(training.y, as_data(y, "y" + name, dtype), "y", "y" + name)
        return self._prepare(x, y, weight[0] if weight else None, None, name)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        modes = [(module, module.training) for _, module in self.model.modules()]
        self.model.eval()
        try:
            yield
        finally:
            set_modes(modes)


def check_callbacks(callbacks: Any) -> list[Callback]:
    """The callbacks as a list, or an error that names the wrong one."""
    if isinstance(callbacks, Callback):
        return [callbacks]
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise ArgumentTypeError(
                f"A callback is an instance of rg.Callback, received {callback!r}.",
                fix="derive it from rg.Callback"
                + ("; pass it called: add ()" if isinstance(callback, type) else ""),
            )
    return list(callbacks)


def split_samples(samples: Samples, fraction: float) -> tuple[Samples, Samples]:
    """Training and validation part; the same rows for the same data, each class in proportion."""
    share = check_fraction(fraction, "validation_split")
    labels = samples.y
    if not (isinstance(labels, np.ndarray) and labels.ndim == 1 and labels.dtype.kind in "iub"):
        labels = np.zeros(samples.count, np.int32)
    if not 0 < round(samples.count * share) < samples.count:
        raise DataError(
            f"validation_split={fraction} of {samples.count} samples leaves "
            f"{samples.count - round(samples.count * share)} to train and "
            f"{round(samples.count * share)} to validate on.",
            fix="pass more samples or another share",
        )
    rows, held_out = stratified_split(labels, share)
    return samples.select(rows), samples.select(held_out)

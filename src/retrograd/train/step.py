"""The compiled programs of a Trainer: one training step, one evaluation, one prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import tree
from ..compile import compile
from ..ir import Graph
from ..metrics import Metric
from ..ops.comparison import is_finite, logical_not
from ..ops.reduce import any as any_of
from ..ops.table_rows import take_rows
from ..optim.rows import is_row_gradient
from ..transforms import value_and_grad
from .objective import Objective
from .samples import Batch, Samples
from .steps import Steps

MetricSums = dict[str, dict[str, Any]]


class Programs:
    """The three compiled functions; each is traced once for each shape of a batch.

    Args:
        objective: the loss.
        metrics: the metrics by name.
        executor: what runs the programs.
    """

    def __init__(self, objective: Objective, metrics: Mapping[str, Metric], executor: str) -> None:
        def measure(outputs: Any, y: Any, weight: Any) -> MetricSums:
            return {name: dict(m.measure(outputs, y, weight)) for name, m in metrics.items()}

        def compute_loss(model: Any, x: Any, y: Any, weight: Any, class_weight: Any) -> Any:
            outputs = model(x)
            return objective(outputs, y, weight, class_weight), outputs

        def training_step(
            model: Any, optimizer: Any, x: Any, y: Any, weight: Any, class_weight: Any
        ) -> Any:
            differentiated = value_and_grad(compute_loss, has_aux=True)
            (loss, outputs), gradients = differentiated(model, x, y, weight, class_weight)
            optimizer.update(model, gradients)
            return loss, measure(outputs, y, weight), find_broken_rows(model, gradients)

        def evaluation_step(model: Any, x: Any, y: Any, weight: Any) -> Any:
            loss, outputs = compute_loss(model, x, y, weight, None)
            return loss, measure(outputs, y, weight), {}

        def prediction(model: Any, x: Any) -> Any:
            return model(x)

        self._train = compile(training_step, executor=executor)
        self._evaluate = compile(evaluation_step, executor=executor)
        self._predict = compile(prediction, executor=executor)

    @property
    def trace_count(self) -> int:
        """How many training programs have been traced."""
        return int(self._train.trace_count)

    def training(self, model: Any, optimizer: Any, samples: Samples) -> Steps:
        """Training steps over samples: forward, backward, update."""
        return Steps(self._train, (model, optimizer), samples, (samples.class_weight,))

    def evaluation(self, model: Any, samples: Samples) -> Steps:
        """Steps over samples that give the loss and the sums of the metrics, and change nothing."""
        return Steps(self._evaluate, (model,), samples)

    def predict(self, model: Any, batch: Batch) -> Any:
        """The outputs for a batch as NumPy arrays."""
        return tree.map(np.asarray, self._predict(model, batch.x))

    def output_graph(self, model: Any, batch: Batch) -> tuple[Graph, Any]:
        """The program of a prediction, and the types of the outputs in their tree."""
        graph = self._predict.graph(model, batch.x)
        types: Any = graph.output_types
        if len(types) == 1:
            return graph, types[0]
        return graph, types


def find_broken_rows(model: Any, gradients: Any) -> dict[str, Any]:
    """For each table with a RowGradient, whether a row that was changed holds NaN or infinity.

    To look through the whole table would take longer than many steps.
    """
    found: dict[str, Any] = {}
    names = tree.paths(gradients, is_row_gradient)
    leaves = tree.flatten(gradients, is_row_gradient)[0]
    if not any(map(is_row_gradient, leaves)):
        return found
    tables = model.named_state()
    for path, gradient in zip(names, leaves, strict=True):
        if is_row_gradient(gradient):
            rows = take_rows(tables[path], gradient.indices)
            found[path] = any_of(logical_not(is_finite(rows)))
    return found


def parameter_dtype(model: Any) -> np.dtype[Any]:
    """The dtype of the first trainable parameter (else of any floating state; else float32)."""
    leaves = tree.leaves(model.parameters()) + tree.leaves(model.state())
    for leaf in leaves:
        if leaf.type.floating:
            return np.dtype(leaf.type.dtype)
    return np.dtype(np.float32)

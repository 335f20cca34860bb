"""The loss and the metrics of a Trainer: found by name, and asked whether the model fits them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import losses
from .. import metrics as metrics_
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..ir import ArrayType, Constant, Graph, Node
from ..metrics import (
    F1,
    MAE,
    MSE,
    R2,
    RMSE,
    Accuracy,
    BalancedAccuracy,
    Metric,
    Precision,
    Recall,
    TopK,
)
from ..ops import comparison, reduce
from ..ops.promotion import as_array
from ..ops.targets import check_binary_targets, check_labels, check_same_shape, spread_weights
from ..trace import Array
from .samples import Samples

LOGITS = (losses.cross_entropy, losses.binary_cross_entropy)
DECISIONS = (Accuracy, BalancedAccuracy, F1, Precision, Recall)
BUILT_IN = (*DECISIONS, TopK, MAE, MSE, R2, RMSE)
PASSING = frozenset({"reshape", "transpose", "cast", "broadcast", "slice", "stop_gradient"})


@dataclass(frozen=True, slots=True)
class Objective:
    """What is made small: a loss with its options.

    Args:
        name: for messages.
        function: `(outputs, targets, ...)` to a scalar or to a loss for each sample.
        options: keyword arguments for every call.
    """

    name: str
    function: Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict)

    def takes(self, name: str) -> bool:
        """Whether the function has a parameter of this name."""
        try:
            parameters = inspect.signature(self.function).parameters
        except (TypeError, ValueError):
            return False
        return name in parameters

    @property
    def takes_logits(self) -> bool:
        return any(self.function is known for known in LOGITS)

    def __call__(
        self, outputs: Any, targets: Any, sample_weight: Any = None, class_weight: Any = None
    ) -> Array:
        """The mean loss of a batch."""
        given = {"sample_weight": sample_weight, "class_weight": class_weight}
        passed = {k: v for k, v in given.items() if v is not None and self.takes(k)}
        value = as_array(self.function(outputs, targets, **self.options, **passed))
        if not value.type.floating:
            raise ArgumentTypeError(
                f"The loss {self.name} returned {value.type}, not a floating number."
            )
        left = sample_weight if "sample_weight" not in passed else None
        if value.type.ndim == 0:
            if left is not None:
                raise ArgumentError(
                    f"The loss {self.name} returns one number, so that its samples cannot be "
                    "weighted.",
                    fix="return one loss for each sample, or take a parameter sample_weight",
                )
            return value
        if left is None:
            return reduce.mean(value)
        weights = spread_weights(left, value, self.name)
        total = reduce.sum(weights)
        return reduce.sum(value * weights) / comparison.where(total == 0.0, 1.0, total)

    def check_targets(self, targets: Any, outputs: Any) -> None:
        """An error if the targets do not fit the outputs of the model.

        Args:
            targets: all of them, a NumPy array (trees are the business of the user's own loss).
            outputs: the type of the outputs for a batch of one sample.
        """
        if not any(self.function is known for known in losses.LOSSES.values()):
            return
        if not isinstance(targets, np.ndarray) or not isinstance(outputs, ArrayType):
            which = "y holds" if isinstance(outputs, ArrayType) else "The model returns"
            raise ArgumentTypeError(
                f"{which} several arrays; the loss {self.name} takes one.",
                fix="pass loss=a function (outputs, targets) that picks what it needs",
            )
        if outputs.shape[:1] != (1,):
            raise ShapeError(
                f"For one sample the model returned an array of shape {outputs.shape}; its first "
                "axis must be the samples.",
                fix="keep the first axis of x in the outputs of the model",
            )
        zero = np.zeros((), outputs.dtype)
        shape = (len(targets), *outputs.shape[1:])
        # Outputs of the right shape that take no memory: only shapes and labels are looked at.
        fake, given = Array(np.broadcast_to(zero, shape)), Array(targets.view())
        if self.function is losses.cross_entropy:
            if shape != targets.shape or not given.type.floating:
                check_labels(given, fake, self.name)
        elif self.function is losses.binary_cross_entropy:
            check_binary_targets(given, fake, self.name, "logits")
        else:
            check_same_shape(fake, given, self.name, "predictions")

    def weigh(self, samples: Samples, weight: Any, class_weight: Any, dtype: Any) -> Samples:
        """The samples with their weights; class weights join them where the loss takes none."""
        mass = mass_of_samples(weight, class_weight, samples.y, samples.count)
        passed = None
        if class_weight is not None:
            if self.takes("class_weight"):
                passed = Array(class_weight.astype(dtype))
            else:
                labels = samples.y
                if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iub":
                    raise ArgumentError(
                        f"The loss {self.name} takes no class_weight, and y holds no labels.",
                        fix="pass sample_weight instead",
                    )
                of_labels = class_weight[labels.astype(np.int64)].astype(dtype)
                if weight is not None:
                    extra = (1,) * (of_labels.ndim - weight.ndim)
                    of_labels = of_labels * weight.reshape(weight.shape + extra)
                weight = of_labels
        return Samples(samples.x, samples.y, samples.count, weight, mass, passed)

    def check_model(self, graph: Graph) -> None:
        """An error if the model ends in softmax or sigmoid where logits are due."""
        if not self.takes_logits:
            return
        for output in graph.outputs:
            ending = find_ending(graph, output)
            if ending is None:
                continue
            name, node = ending
            place = f" (in {node.path})" if node.path else ""
            raise ArgumentError(
                f"The model ends in {name}{place}, but the loss {self.name} takes logits: it "
                f"applies the {name} itself, in a form that is exact for large numbers.",
                fix=f"leave the {name} out of the model, and apply it to the predictions",
                where=node.source,
            )


def find_ending(graph: Graph, output: Any) -> tuple[str, Node] | None:
    """`("sigmoid", node)` or `("softmax", node)` if that is what an output comes from."""
    makers = {id(variable): node for node in graph.nodes for variable in node.outputs}
    node = makers.get(id(output))
    while node is not None and node.primitive.name in PASSING:
        node = makers.get(id(node.inputs[0]))
    if node is None:
        return None
    if node.primitive.name in ("sigmoid", "softmax"):
        return node.primitive.name, node
    if node.primitive.name == "divide" and _is_softmax(node, makers):
        return "softmax", node
    return None


def _is_softmax(node: Node, makers: Mapping[int, Node]) -> bool:
    """Whether a quotient is exp(...) by the sum of the same exp(...)."""
    above = makers.get(id(node.inputs[0]))
    if above is None or above.primitive.name != "exp":
        return False
    waiting, seen = [node.inputs[1]], set()
    while waiting:
        atom = waiting.pop()
        below = makers.get(id(atom))
        if isinstance(atom, Constant) or below is None or id(below) in seen:
            continue
        seen.add(id(below))
        if below.primitive.name == "sum":
            if makers.get(id(below.inputs[0])) is above:
                return True
        elif below.primitive.name in PASSING or below.primitive.name == "where":
            waiting.extend(below.inputs)
    return False


def find_objective(loss: Any, options: Mapping[str, Any] | None) -> Objective:
    """The loss of a Trainer from its name or callable, with options."""
    function = losses.get(loss)
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    objective = Objective(name, function, dict(options or {}))
    for option in objective.options:
        if option in ("reduction", "sample_weight", "class_weight"):
            raise ArgumentError(
                f"{option} is not an option of the loss here.",
                fix="pass sample_weight and class_weight to fit; the Trainer takes the mean",
            )
        if not objective.takes(option):
            raise ArgumentError(f"The loss {name} has no option {option!r}.")
    return objective


def find_metrics(given: Sequence[str | Metric] | Mapping[str, Any]) -> dict[str, Metric]:
    """The metrics by name, in order."""
    if isinstance(given, (str, Metric)):
        given = [given]
    found: dict[str, Metric] = {}
    for item in given:
        metric = metrics_.get(item)
        name = item if isinstance(item, str) else metric.name
        if name in found or name == "loss" or name.startswith("val_"):
            raise ArgumentError(
                f"There are two values named {name!r}.", fix="give each metric another name"
            )
        found[name] = metric
    return found


def check_metrics(metrics: Mapping[str, Metric], targets: Any, outputs: Any) -> None:
    """An error if a metric of retrograd cannot judge these outputs or targets.

    Args:
        metrics: by name.
        targets: all of them, a tree of NumPy arrays.
        outputs: the type of the outputs for a batch of one sample.
    """
    for name, metric in metrics.items():
        if not isinstance(metric, BUILT_IN):
            continue  # one of the user's own takes what it wants
        if not isinstance(outputs, ArrayType) or not isinstance(targets, np.ndarray):
            which = "y holds" if isinstance(outputs, ArrayType) else "The model returns"
            raise ArgumentTypeError(
                f"{which} several arrays; the metric {name} takes one.",
                fix="derive from metrics.Metric to write a metric that picks what it needs",
            )
        if not isinstance(metric, DECISIONS) or targets.dtype.kind != "f":
            continue
        one_each = targets.ndim == 1 or targets.shape[1:] == (1,)
        if one_each and not np.isin(targets, (0, 1)).all():
            place = int(np.flatnonzero(~np.isin(targets.reshape(-1), (0, 1)))[0])
            raise ArgumentError(
                f"The metric {name} judges classes, but y has {targets.reshape(-1)[place]:g} at "
                f"sample {place}; yes-or-no targets are 0 or 1.",
                fix="use metrics of numbers (r2, mae, rmse), or pass integer labels",
            )


def mass_of_samples(
    weight: Any, class_weight: Any, targets: Any, count: int
) -> np.ndarray[Any, Any] | None:
    """What each sample weighs in the mean loss, (count,) float64; None when all weigh 1."""
    if weight is None and class_weight is None:
        return None
    mass: Any = np.ones(count)
    if class_weight is not None and isinstance(targets, np.ndarray):
        if targets.dtype.kind in "iub":
            mass = class_weight[targets.astype(np.int64)]
        elif targets.ndim > 1 and targets.shape[-1] == len(class_weight):
            mass = (targets * class_weight).sum(-1)
    if weight is not None:
        rows = weight.astype(np.float64)
        rank = max(rows.ndim, mass.ndim)
        rows = rows.reshape(rows.shape + (1,) * (rank - rows.ndim))
        mass = rows * mass.reshape(mass.shape + (1,) * (rank - mass.ndim))
    return mass.reshape(count, -1).sum(axis=1)

"""Losses: those of retrograd.losses by their own function, others written with the operations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import retrograd as rg
from adapters.common import Skip, adapts, reduce_loss
from retrograd import losses, nn


def is_integer(x: Any) -> bool:
    return np.issubdtype(np.dtype(x.dtype), np.integer)


@adapts("nn.functional.cross_entropy")
def cross_entropy(
    logits: Any,
    target: Any,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Any:
    if ignore_index != -100:
        raise Skip("ignore_index")
    batch_shape = target.shape
    if logits.ndim > 1:
        if target.ndim == logits.ndim:
            target = rg.moveaxis(target, 1, -1)
            batch_shape = target.shape[:-1]
        logits = rg.moveaxis(logits, 1, -1)
    elif target.ndim == 1 and not is_integer(target):
        batch_shape = ()
    classes = logits.shape[-1]
    logits = logits.reshape(-1, classes)
    if is_integer(target):
        target = target.reshape(-1)
    elif weight is not None and reduction == "mean":
        raise Skip("class weights with probabilities: PyTorch's mean divides by the number of rows")
    else:
        target = target.reshape(-1, classes)
    if weight is not None and bool(rg.any(weight < 0)):
        raise Skip("negative class weights, which retrograd refuses")  # test_losses.py has others
    loss = losses.cross_entropy(
        logits,
        target,
        class_weight=weight,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )
    return loss.reshape(batch_shape) if reduction == "none" else loss


@adapts("nn.functional.nll_loss")
def nll_loss(
    log_probabilities: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    if ignore_index != -100:
        raise Skip("ignore_index")
    x = rg.moveaxis(log_probabilities, min(1, log_probabilities.ndim - 1), -1)
    loss = -rg.take_along_axis(x, rg.expand_dims(target, -1), axis=-1).reshape(target.shape)
    if weight is None:
        return reduce_loss(loss, reduction)
    weights = rg.take(weight, target, axis=0)
    if reduction == "mean":
        return rg.sum(loss * weights) / rg.sum(weights)
    return reduce_loss(loss * weights, reduction)


@adapts("nn.functional.binary_cross_entropy_with_logits")
def binary_cross_entropy_with_logits(
    logits: Any,
    target: Any,
    weight: Any = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    if pos_weight is not None:
        raise Skip("a weight of the positive class")
    if weight is None:
        return losses.binary_cross_entropy(logits, target, reduction=reduction)
    loss = losses.binary_cross_entropy(logits, target, reduction="none")
    return reduce_loss(loss * weight, reduction)


@adapts("nn.functional.binary_cross_entropy")
def binary_cross_entropy(x: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    loss = -(target * rg.log(x) + (1.0 - target) * rg.log1p(-x))
    return reduce_loss(loss if weight is None else loss * weight, reduction)


def _weighted(loss: Any, weight: Any, reduction: str) -> Any:
    return reduce_loss(loss if weight is None else loss * weight, reduction)


@adapts("nn.functional.mse_loss")
def mse_loss(x: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    if weight is not None:
        return _weighted(losses.mse(x, target, reduction="none"), weight, reduction)
    return losses.mse(x, target, reduction=reduction)


@adapts("nn.functional.l1_loss")
def l1_loss(x: Any, target: Any, reduction: str = "mean") -> Any:
    return losses.mae(x, target, reduction=reduction)


@adapts("nn.functional.huber_loss")
def huber_loss(
    x: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    if weight is not None:
        loss = losses.huber(x, target, delta=delta, reduction="none")
        return _weighted(loss, weight, reduction)
    return losses.huber(x, target, delta=delta, reduction=reduction)


@adapts("nn.functional.smooth_l1_loss")
def smooth_l1_loss(x: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    if beta == 0:
        return losses.mae(x, target, reduction=reduction)
    return losses.huber(x, target, delta=beta, reduction=reduction) / beta


@adapts("nn.functional.kl_div")
def kl_div(x: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    if log_target:
        loss = rg.exp(target) * (target - x)
    else:
        loss = target * (rg.log(target) - x)
    if reduction == "batchmean":
        return rg.sum(loss) / (x.shape[0] if x.ndim else 1)
    return reduce_loss(loss, reduction)


@adapts("nn.functional.poisson_nll_loss")
def poisson_nll_loss(
    x: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    loss = rg.exp(x) - target * x if log_input else x - target * rg.log(x + eps)
    if full:
        stirling = target * rg.log(target) - target + 0.5 * rg.log(2.0 * math.pi * target)
        loss = loss + rg.where(target > 1.0, stirling, 0.0)
    return reduce_loss(loss, reduction)


@adapts("nn.functional.gaussian_nll_loss")
def gaussian_nll_loss(
    x: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    if x.ndim and var.shape == x.shape[:-1]:
        var = rg.expand_dims(var, -1)
    # PyTorch clamps the variance without telling the gradient.
    var = var + rg.stop_gradient(rg.maximum(var, eps) - var)
    loss = 0.5 * (rg.log(var) + rg.square(x - target) / var)
    return reduce_loss(loss + 0.5 * math.log(2.0 * math.pi) if full else loss, reduction)


@adapts("nn.functional.hinge_embedding_loss")
def hinge_embedding_loss(x: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    apart = rg.where(target == 1.0, 0.0, nn.relu(margin - x))
    together = rg.where(target == -1.0, 0.0, x)
    return reduce_loss(apart + together, reduction)


@adapts("nn.functional.margin_ranking_loss")
def margin_ranking_loss(
    a: Any, b: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    return reduce_loss(nn.relu(margin - target * (a - b)), reduction)


@adapts("nn.functional.soft_margin_loss")
def soft_margin_loss(x: Any, target: Any, reduction: str = "mean") -> Any:
    return reduce_loss(rg.log1p(rg.exp(-target * x)), reduction)


@adapts("nn.functional.multilabel_soft_margin_loss")
def multilabel_soft_margin_loss(
    x: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    # Not losses.binary_cross_entropy, which refuses the targets of the samples: outside [0, 1].
    loss = nn.softplus(x) - target * x
    loss = loss if weight is None else loss * weight
    return reduce_loss(rg.mean(loss, axis=-1), reduction)

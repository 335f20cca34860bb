"""The optimizers by name: chains of the rules in transforms.py."""

from __future__ import annotations

from ..errors import ArgumentError
from .base import Optimizer, Schedule, Transform, chain_transforms
from .transforms import (
    add_decayed_weights,
    scale_by_adagrad,
    scale_by_adam,
    scale_by_learning_rate,
    trace_momentum,
)


class SGD(Optimizer):
    """Gradient descent, with momentum and weight decay if wanted.

    `g = gradient + weight_decay * w`, `m = momentum * m + g`, `w = w - learning_rate * m`; with
    `nesterov`, `w = w - learning_rate * (g + momentum * m)`. On the whole data it is gradient
    descent, on batches stochastic gradient descent.

    Args:
        learning_rate: a number, or a schedule from the step to a number.
        momentum: in [0, 1).
        nesterov: look ahead along the momentum.
        weight_decay: L2 penalty, added to the gradient (as PyTorch's SGD).

    Source: H. Robbins, S. Monro, A stochastic approximation method (1951); for momentum see
    `optim.trace_momentum`.

    Example:
        >>> from retrograd import optim
        >>> optim.SGD(learning_rate=0.1, momentum=0.9).learning_rate
        0.1
    """

    def __init__(
        self,
        learning_rate: float | Schedule,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        if nesterov and not momentum:
            raise ArgumentError(
                "SGD: nesterov=True needs a momentum above 0, received momentum=0.",
                fix="write optim.SGD(learning_rate, momentum=0.9, nesterov=True)",
            )
        parts: list[Transform] = []
        if weight_decay:
            parts.append(add_decayed_weights(weight_decay))
        if momentum:
            parts.append(trace_momentum(momentum, nesterov))
        parts.append(scale_by_learning_rate(learning_rate))
        super().__init__(chain_transforms(*parts))


class Adagrad(Optimizer):
    """Adagrad: each number has a rate of its own, which falls with its gradients so far.

    `s = s + g^2`, `w = w - learning_rate * g / (sqrt(s) + eps)`. Suits rare features: what has
    seldom had a gradient still moves far.

    Args:
        learning_rate: a number, or a schedule from the step to a number.
        initial: the value of s at first.
        eps: added to the root, against division by zero.
        weight_decay: L2 penalty, added to the gradient.

    Source: J. Duchi, E. Hazan, Y. Singer, Adaptive subgradient methods for online learning and
    stochastic optimization, JMLR 12 (2011).

    Example:
        >>> from retrograd import optim
        >>> optim.Adagrad().learning_rate
        0.01
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-2,
        initial: float = 0.0,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
    ) -> None:
        rate = scale_by_learning_rate(learning_rate)
        parts = [add_decayed_weights(weight_decay)] if weight_decay else []
        parts += [scale_by_adagrad(initial, eps), rate]
        super().__init__(chain_transforms(*parts))


class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and its square.

    Args:
        learning_rate: a number, or a schedule from the step to a number.
        betas: the decay of the two running means.
        eps: added to the root, against division by zero.
        weight_decay: L2 penalty, added to the gradient (as PyTorch's Adam; see AdamW).

    Source: D. Kingma, J. Ba, Adam: a method for stochastic optimization, ICLR 2015.

    Example:
        >>> from retrograd import optim
        >>> optim.Adam().learning_rate
        0.001
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        rate = scale_by_learning_rate(learning_rate)
        parts = [add_decayed_weights(weight_decay)] if weight_decay else []
        parts += [scale_by_adam(betas, eps), rate]
        super().__init__(chain_transforms(*parts))


class AdamW(Optimizer):
    """Adam with decoupled weight decay: `w = w - learning_rate * (adam(g) + weight_decay * w)`.

    Args:
        learning_rate, betas, eps: as for Adam.
        weight_decay: the share of each weight that is taken away, times the learning rate.

    Source: I. Loshchilov, F. Hutter, Decoupled weight decay regularization, ICLR 2019.

    Example:
        >>> from retrograd import optim
        >>> optim.AdamW(weight_decay=0.1).learning_rate
        0.001
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        rate = scale_by_learning_rate(learning_rate)
        decay = add_decayed_weights(weight_decay)
        super().__init__(chain_transforms(scale_by_adam(betas, eps), decay, rate))

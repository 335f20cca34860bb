"""Buffer: marks state of a Module that is not trained."""

from __future__ import annotations

from typing import Any

from ..ops.promotion import array


class Buffer:
    """Marks an Array of a Module as state that is not trained (running statistics).

    Assign it once, `self.mean = nn.Buffer(rg.zeros(3))`; afterwards `self.mean` is the Array, and
    assigning another Array keeps it a buffer.

    Args:
        value: an Array, or what `rg.array` takes.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> class Counter(nn.Module):
        ...     def __init__(self):
        ...         self.count = nn.Buffer(rg.zeros(()))
        ...
        ...     def __call__(self, x):
        ...         self.count = self.count + 1
        ...         return x
        >>> counter = Counter()
        >>> _ = counter(1.0)
        >>> float(counter.count), counter.parameters()
        (1.0, {})
    """

    def __init__(self, value: Any) -> None:
        self.value = array(value)

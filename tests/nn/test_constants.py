"""Arrays and NumPy constants that a Module holds are its own."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn, optim


def test_array_of_an_array_is_one_of_its_own_and_not_tied() -> None:
    model = nn.Linear(2, 2)
    model.average = nn.Buffer(rg.array(model.weight))
    assert model.average is not model.weight
    optimizer = optim.SGD(learning_rate=1.0)
    before = np.array(model.average)
    optimizer.update(model, rg.tree.map(rg.ones_like, model.parameters()))
    assert np.array_equal(model.average, before)
    assert not np.array_equal(model.weight, before)


def test_a_numpy_constant_cannot_be_changed_behind_the_program() -> None:
    table = np.array([1.0, 2.0], "float32")
    model = nn.Linear(2, 2)
    model.table = table
    table[0] = 9.0
    assert model.table[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        model.table[0] = 9.0

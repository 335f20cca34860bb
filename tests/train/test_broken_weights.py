"""NaN in weights while the loss is still finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn, optim
from retrograd.errors import DivergedError
from retrograd.train import loop


class Lengths(nn.Module):
    """The length of a vector of a table: it has no slope where the vector is 0."""

    def __init__(self, sparse: bool, zero: int) -> None:
        self.table = nn.Embedding(40, 3, sparse=sparse)
        start = np.full((40, 3), 0.5, np.float32)
        start[zero] = 0.0
        self.table.weight = rg.array(start)

    def __call__(self, places: Any) -> Any:
        return rg.sqrt((self.table(places) ** 2).sum(axis=-1))


class Watch(rg.Callback):
    """Sees each batch, so that steps run one by one."""

    every_batch = True

    def on_batch_end(self, trainer: Any, event: Any) -> None:
        pass


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("executor", ["numpy", "native"])
def test_training_stops_and_goes_back(executor: str, sparse: bool, one_by_one: bool) -> None:
    """Row 27 is read in the seventh batch only, and no loss shows what became of it."""
    model = Lengths(sparse, zero=27)
    before = np.asarray(model.table.weight).copy()
    trainer = rg.Trainer(model, loss="mse", optimizer=optim.SGD(0.1), executor=executor)
    x, y = np.arange(40), np.ones(40, np.float32)
    with pytest.raises(DivergedError, match="'table.weight' became NaN or infinite") as caught:
        trainer.fit(
            x,
            y,
            epochs=3,
            batch_size=4,
            shuffle=False,
            verbose=False,
            callbacks=[Watch()] if one_by_one else [],
        )
    assert f"batch {7 if sparse else 10} of 10" in str(caught.value)
    np.testing.assert_array_equal(model.table.weight, before)


def test_best_weights_are_sound() -> None:
    """A row breaks in the third epoch, when a step of 0 ends at 0."""
    model = Lengths(True, zero=39)
    trainer = rg.Trainer(model, loss="mse", optimizer=optim.SGD(0.1))
    x, y = np.arange(36), np.ones(36, np.float32)
    best = rg.EarlyStopping(patience=5, monitor="loss", restore_best=True)
    trainer.fit(x, y, epochs=2, batch_size=4, verbose=False, callbacks=[best])
    with pytest.raises(DivergedError):
        trainer.fit(np.arange(40), np.ones(40), epochs=2, batch_size=4, verbose=False)
    assert np.isfinite(np.asarray(model.table.weight)).all()


def test_a_large_table_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first epoch each step looks at the rows that it changes."""
    seen: list[int] = []
    check = loop.is_sound
    monkeypatch.setattr(loop, "is_sound", lambda values: seen.append(values.size) or check(values))
    model = nn.Sequential(nn.Embedding(50, 3, sparse=True), nn.Flatten(), nn.Linear(3, 1))
    trainer = rg.Trainer(model, loss="mse", optimizer=optim.Adam(0.1))
    x, y = np.arange(20)[:, None], np.ones((20, 1), np.float32)
    trainer.fit(x, y, epochs=3, batch_size=4, verbose=False)
    assert seen.count(150) == 1
    assert seen.count(3) == 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_sound(dtype: str) -> None:
    values = np.full((3, 7), np.finfo(dtype).max, dtype)  # its squares are infinite
    assert loop.is_sound(values)
    assert loop.is_sound(np.zeros((0, 3), dtype))
    for wrong in (np.nan, np.inf, -np.inf):
        for start in (np.zeros((3, 7), dtype), values):
            broken = start.copy()
            broken[2, 5] = wrong
            assert not loop.is_sound(broken)

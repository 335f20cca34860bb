"""CharacterLSTM, and tokens as a stream."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import models, nn, optim
from retrograd.data.sequences import cut_streams
from retrograd.errors import ShapeError

TOKENS = np.random.default_rng(0).integers(0, 11, (3, 12)).astype("int32")


def make(**options: Any) -> models.CharacterLSTM:
    rg.seed(0)
    sizes = {"features": 6, "hidden_features": 8, **options}
    return models.CharacterLSTM(vocabulary=11, **sizes)


@pytest.mark.parametrize("layers", [1, 2])
def test_steps_give_the_logits_of_the_whole(layers: int) -> None:
    model = make(layers=layers, dropout=0.3).eval()
    whole, cache = np.asarray(model(TOKENS)), model.make_cache(3)
    for place in range(12):
        logits, cache = model.step(TOKENS[:, place : place + 1], cache, place)
        np.testing.assert_allclose(np.asarray(logits)[:, 0], whole[:, place], atol=1e-6)


def test_a_carried_state_goes_on_where_the_batch_before_ended() -> None:
    model = make()
    whole = np.asarray(model(TOKENS))
    model.carry(3)
    first, second = np.asarray(model(TOKENS[:, :5])), np.asarray(model(TOKENS[:, 5:]))
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, atol=1e-6)
    before = np.asarray(model.hidden)
    alone = np.asarray(model.eval()(TOKENS))  # eval mode reads from the beginning
    np.testing.assert_allclose(alone, whole, atol=1e-6)
    assert np.array_equal(np.asarray(model.hidden), before)
    with pytest.raises(ShapeError, match="3 streams"):
        model.train()(TOKENS[:2])
    model.carry(None)
    np.testing.assert_allclose(np.asarray(model(TOKENS)), whole, atol=1e-6)


def test_trainer_carries_the_state_through_pieces_of_streams() -> None:
    """What it learns is what a loop over the pieces with the state in hand learns."""
    x, y = cut_streams(np.random.default_rng(1).integers(0, 11, 61), streams=2, steps=5)
    model = make()
    model.carry(2)
    trainer = rg.Trainer(model, "cross_entropy", optim.SGD(0.5))
    trainer.fit(x.reshape(-1, 5), y.reshape(-1, 5), 1, batch_size=2, shuffle=False, verbose=False)
    other, optimizer = make(), optim.SGD(0.5)
    state: Any = other.make_cache(2)
    for inputs, targets in zip(x, y):

        def find_loss(
            module: Any, state: Any = state, inputs: Any = inputs, targets: Any = targets
        ) -> Any:
            logits, after = module.step(inputs, state)
            return rg.losses.cross_entropy(logits, targets), after

        (_, state), gradients = rg.value_and_grad(find_loss, has_aux=True)(other)
        optimizer.update(other, gradients)
    found, wanted = model.named_state(), other.named_state()
    for path, array in wanted.items():
        np.testing.assert_allclose(np.asarray(found[path]), np.asarray(array), atol=1e-5)
    np.testing.assert_allclose(np.asarray(model.memory), np.asarray(state[1]), atol=1e-5)


@pytest.mark.parametrize("streams", [None, 3])
def test_saved_and_loaded(tmp_path: Any, streams: int | None) -> None:
    model = make()
    model.carry(3)
    model(TOKENS)
    model.carry(streams)
    rg.save_model(model, tmp_path / "model")
    other = rg.load_model(tmp_path / "model")
    assert other.config() == model.config() and other.config()["streams"] == streams
    assert np.array_equal(np.asarray(model(TOKENS)), np.asarray(other(TOKENS)))
    assert type(nn.build_layer(nn.describe_layer(model))) is models.CharacterLSTM


@pytest.mark.parametrize("kind", ["gpt", "lstm"])
def test_a_stream_gives_what_generate_gives(kind: str) -> None:
    model: Any = make() if kind == "lstm" else models.GPT(11, 16, 2, 1, context=8)
    rg.seed(3)
    whole = models.generate(model, TOKENS[:, :3], 20, temperature=0.7, top_k=4)
    rg.seed(3)
    tokens = models.stream(model, TOKENS[:, :3], temperature=0.7, top_k=4)
    pieces = [next(tokens) for _ in range(20)]
    tokens.close()  # type: ignore[attr-defined]
    assert np.array_equal(np.stack(pieces, axis=1), whole) and model.training
    assert [int(t) for t in models.stream(model, [1, 2], 3, temperature=None)] == (
        models.generate(model, [1, 2], 3, temperature=None).tolist()
    )

"""Attention: masks, groups, caches and positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd import nn
from tests.nn.helpers import draw, to_float64

attend = nn.scaled_dot_product_attention


def reference(
    q: Any, k: Any, v: Any, mask: Any = None, causal: bool = False, bias: Any = 0.0
) -> Any:
    """With all weights in memory, row by row."""
    heads, groups = q.shape[1], k.shape[1]
    k, v = (np.repeat(x, heads // groups, axis=1) for x in (k, v))
    scores = np.einsum("bhid,bhjd->bhij", q, k) / np.sqrt(q.shape[3]) + bias
    seen = np.ones(scores.shape, bool) if mask is None else np.broadcast_to(mask, scores.shape)
    if causal:
        seen = seen & np.tri(*scores.shape[2:], dtype=bool)
    out = np.zeros((*q.shape[:3], v.shape[3]))
    for place in np.ndindex(*q.shape[:3]):
        row = scores[place][seen[place]]
        if row.size:
            weights = np.exp(row - row.max())
            out[place] = weights / weights.sum() @ v[place[:2]][seen[place]]
    return out


MASK = draw(3, 1, 1, 7, seed=9) > -0.3
BIAS = draw(4, 5, 7, seed=8)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"causal": True},
        {"mask": MASK},
        {"mask": MASK[:, 0, 0][0]},
        {"mask": draw(5, 7) > 0},
        {"bias": BIAS},
        {"bias": BIAS[:1, :1, :1], "mask": MASK, "causal": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("groups", [4, 2, 1])
def test_values(options: dict[str, Any], groups: int) -> None:
    q, k, v = draw(3, 4, 5, 6), draw(3, groups, 7, 6, seed=2), draw(3, groups, 7, 2, seed=3)
    expected = reference(q, k, v, **options)
    np.testing.assert_allclose(attend(q, k, v, **options), expected, atol=1e-13)
    compiled = rg.compile(lambda q, k, v: attend(q, k, v, **options))
    np.testing.assert_allclose(compiled(q, k, v), expected, atol=1e-13)


def test_rows_that_see_nothing_are_zero_and_have_zero_gradients() -> None:
    q, k, v = draw(2, 1, 3, 4), draw(2, 1, 5, 4, seed=2), draw(2, 1, 5, 4, seed=3)
    mask = np.ones((2, 1, 3, 5), bool)
    mask[0, 0, 1] = False
    mask[1] = False
    minus = np.where(mask, 0.0, -np.inf)
    for options in ({"mask": mask}, {"bias": minus}):

        def total(q: Any, k: Any, v: Any, options: Any = options) -> Any:
            return (attend(q, k, v, **options) ** 2).sum()

        for function in (rg.grad(total, (0, 1, 2)), rg.compile(rg.grad(total, (0, 1, 2)))):
            gradients = [np.asarray(g) for g in function(q, k, v)]
            assert all(np.isfinite(g).all() for g in gradients)
            assert not gradients[0][0, 0, 1].any() and gradients[0][0, 0, 0].any()
            assert not any(g[1].any() for g in gradients)
        out = np.asarray(attend(q, k, v, **options))
        assert not out[0, 0, 1].any() and not out[1].any() and out[0, 0, 0].any()


def test_padding_changes_nothing() -> None:
    layer = to_float64(nn.MultiHeadAttention(8, 2))
    x = draw(2, 6, 8)
    mask = np.arange(6) < np.array([4, 6])[:, None]
    whole = np.asarray(layer(x, mask=mask[:, None]))
    np.testing.assert_allclose(layer(x[:1, :4]), whole[:1, :4], atol=1e-13)
    other = x.copy()
    other[0, 4:] = 1e3
    np.testing.assert_allclose(np.asarray(layer(other, mask=mask[:, None]))[0, :4], whole[0, :4])


def test_dropout_drops_weights_and_keeps_the_mean() -> None:
    v = np.eye(64)[None, None]
    q = np.zeros((1, 1, 64, 8))
    rg.seed(3)
    weights = np.asarray(attend(q, q, v, dropout=0.25)) * 64
    assert set(np.round(np.unique(weights), 6)) == {0.0, round(4 / 3, 6)}
    assert weights.mean() == pytest.approx(1.0, abs=0.05)
    assert not np.array_equal(weights, np.asarray(attend(q, q, v, dropout=0.25)) * 64)
    assert not np.asarray(attend(q, q, v, dropout=1.0)).any()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (((2, 3, 4), (2, 3, 4), (2, 3, 4)), rg.errors.ShapeError),
        (((2, 3, 4, 5), (2, 2, 4, 5), (2, 2, 4, 5)), rg.errors.ShapeError),
        (((2, 3, 4, 5), (2, 3, 4, 6), (2, 3, 4, 5)), rg.errors.ShapeError),
        (((2, 3, 4, 5), (2, 3, 4, 5), (2, 3, 3, 5)), rg.errors.ShapeError),
    ],
)
def test_shapes_that_do_not_fit(arguments: Any, error: Any) -> None:
    with pytest.raises(error):
        attend(*(np.zeros(shape) for shape in arguments))


def test_masks_that_do_not_fit() -> None:
    q = np.zeros((2, 3, 4, 5))
    with pytest.raises(rg.errors.DTypeError, match="True means attend"):
        attend(q, q, q, mask=np.zeros((4, 4)))
    with pytest.raises(rg.errors.ShapeError, match="does not broadcast"):
        attend(q, q, q, mask=np.ones((2, 4), bool))
    with pytest.raises(rg.errors.ArgumentError, match="dropout"):
        attend(q, q, q, dropout=1.5)


def test_memory_attention_uses_parts_of_the_packed_weight() -> None:
    layer = to_float64(nn.MultiHeadAttention(8, 2, key_value_heads=1))
    x, memory = draw(2, 3, 8), draw(2, 5, 8, seed=2)
    several = np.asarray(layer(x, memory, np.array(memory)))  # three products
    np.testing.assert_allclose(layer(x, memory), several, atol=1e-13)  # two
    np.testing.assert_allclose(layer(x, np.array(x)), layer(x), atol=1e-13)  # one


def test_other_features_of_keys_and_values() -> None:
    layer = nn.MultiHeadAttention(8, 2, key_features=3, value_features=5)
    assert layer(draw(2, 4, 8), draw(2, 6, 3), draw(2, 6, 5)).shape == (2, 4, 8)
    assert sorted(layer.parameters()) == [
        "in_bias", "key_weight", "out", "query_weight", "value_weight",
    ]  # fmt: skip
    with pytest.raises(rg.errors.ShapeError):
        layer(draw(2, 4, 8))


# -- generation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rotary", [None, 50.0])
def test_a_cache_gives_what_the_whole_sequence_gives(rotary: float | None) -> None:
    layer = to_float64(
        nn.TransformerEncoder(
            8, 2, 2, 16, dropout=0.0, norm_first=True, key_value_heads=1, rotary=rotary
        )
    ).eval()
    x = draw(3, 7, 8)
    whole = np.asarray(layer(x, causal=True))
    step = rg.compile(lambda layer, x, cache, position: layer.step(x, cache, position))
    cache = layer.make_cache(3, 10)
    first, cache = layer.step(x[:, :3], cache, 0)
    np.testing.assert_allclose(first, whole[:, :3], atol=1e-12)
    for place in range(3, 7):
        row, cache = step(layer, x[:, place : place + 1], cache, np.int32(place))
        np.testing.assert_allclose(np.asarray(row)[:, 0], whole[:, place], atol=1e-12)
    assert step.trace_count == 1
    with pytest.raises(rg.errors.ArgumentError, match="longer cache"):
        layer.step(x[:, :1], cache, 10)


def test_a_decoder_with_a_cache() -> None:
    decoder = to_float64(nn.TransformerDecoder(8, 2, 2, 16, dropout=0.0)).eval()
    x, memory = draw(2, 5, 8), draw(2, 3, 8, seed=4)
    whole = np.asarray(decoder(x, memory))
    cache = decoder.make_cache(2, 5)
    for place in range(5):
        row, cache = decoder.step(x[:, place : place + 1], memory, cache, place)
        np.testing.assert_allclose(np.asarray(row)[:, 0], whole[:, place], atol=1e-12)


# -- positions ------------------------------------------------------------------------------------


def test_rotary_products_depend_on_distances_alone() -> None:
    q, k = draw(1, 6), draw(1, 6, seed=2)

    def product(i: int, j: int) -> float:
        return float((nn.rotary(q, i, 100.0) * nn.rotary(k, j, 100.0)).sum())

    assert product(3, 1) == pytest.approx(product(12, 10))
    assert product(3, 1) != pytest.approx(product(3, 2))
    rows = np.asarray(nn.rotary(np.repeat(q, 4, axis=0), 2))
    np.testing.assert_allclose(rows[3:], nn.rotary(q, 5))
    with pytest.raises(rg.errors.ShapeError, match="even number"):
        nn.rotary(draw(2, 3))
    with pytest.raises(rg.errors.ArgumentError, match="one integer"):
        nn.rotary(draw(2, 4), 0.5)


def test_sinusoids() -> None:
    table = nn.sinusoidal_positions(50, 7, 100.0)
    for place, feature in ((0, 3), (17, 4), (49, 6), (20, 5)):
        angle = place / 100.0 ** (feature // 2 * 2 / 7)
        wanted = np.cos(angle) if feature % 2 else np.sin(angle)
        assert table[place, feature] == pytest.approx(wanted)
    layer = nn.SinusoidalPositions(50, 7, 100.0)
    x = draw(2, 3, 7)
    np.testing.assert_allclose(layer(x, rg.array(4)), x + table[4:7])


@pytest.mark.parametrize("name", ["TransformerEncoder", "TransformerDecoder"])
def test_saved_and_loaded(name: str, tmp_path: Any) -> None:
    model = getattr(nn, name)(8, 2, 2, 16, activation="gelu", norm_first=True, rotary=10.0).eval()
    rg.save_model(model, tmp_path / "model")
    other = rg.load_model(tmp_path / "model")
    x = draw(1, 3, 8)
    inputs = (x,) if name == "TransformerEncoder" else (x, x)
    assert np.array_equal(np.asarray(model(*inputs)), np.asarray(other.eval()(*inputs)))
    assert "attention" in str(model.summary())

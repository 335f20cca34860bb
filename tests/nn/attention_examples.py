"""Examples of attention and transformer layers."""

from __future__ import annotations

from tests.nn.examples import Example

LINEAR_OF_12 = {"out.bias": (12,), "out.weight": (12, 12)}
SMALL = {"features": 4, "heads": 2, "hidden_features": 6, "dropout": 0.0}


def transformer_layer(decodes: bool = False, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """The parameters of a layer with 4 features and 6 hidden ones."""
    attention = {
        "in_bias": (12,),
        "in_weight": (4, 12),
        "out.bias": (4,),
        "out.weight": (4, 4),
    }
    norm = {"bias": (4,), "weight": (4,)}
    parts = {
        "attention": attention,
        "attention_norm": norm,
        "hidden": {"bias": (6,), "weight": (4, 6)},
        **({"memory_attention": attention, "memory_norm": norm} if decodes else {}),
        "out": {"bias": (4,), "weight": (6, 4)},
        "out_norm": norm,
    }
    return {
        f"{prefix}{part}.{name}": shape
        for part, inner in parts.items()
        for name, shape in inner.items()
    }


ATTENTION: dict[str, list[Example]] = {
    "MultiHeadAttention": [
        Example(
            {"features": 12, "heads": 3},
            (2, 5, 12),
            (2, 5, 12),
            {"in_bias": (36,), "in_weight": (12, 36), **LINEAR_OF_12},
            wrong_inputs=((2, 5, 11), (5, 12), (2, 2, 5, 12)),
            wrong_arguments=(
                {"features": 12, "heads": 5},
                {"features": 12, "heads": 4, "key_value_heads": 3},
                {"features": 12, "heads": 0},
                {"features": 12, "heads": 2, "dropout": 2.0},
                {"features": 12, "heads": 4, "rotary": 1e4},
                {"features": 12, "heads": 2, "bias": None},
                {"features": 12, "heads": 2, "rotary": "yes"},
            ),
        ),
        Example(
            {"features": 12, "heads": 6, "key_value_heads": 2, "bias": False, "rotary": 100.0},
            (1, 3, 12),
            (1, 3, 12),
            {"in_weight": (12, 20), "out.weight": (12, 12)},
        ),
        Example(
            {"features": 4, "heads": 2, "learned_sink": True, "zero_sink": True, "bias": False},
            (2, 3, 4),
            (2, 3, 4),
            {
                "in_weight": (4, 12),
                "key_sink": (4,),
                "out.weight": (4, 4),
                "value_sink": (4,),
            },
        ),
        Example(
            {"features": 4, "heads": 2, "dropout": 0.5},
            (2, 6, 4),
            (2, 6, 4),
            {"in_bias": (12,), "in_weight": (4, 12), "out.bias": (4,), "out.weight": (4, 4)},
            random=True,
        ),
    ],
    "SinusoidalPositions": [
        Example(
            {"length": 5, "features": 3},
            (2, 4, 3),
            (2, 4, 3),
            wrong_inputs=((2, 6, 3), (2, 4, 4), (3,)),
            wrong_arguments=({"length": 0, "features": 3}, {"length": 4, "features": 2.5}),
        ),
    ],
    "TransformerDecoder": [
        Example(
            {**SMALL, "layers": 1, "norm_first": True},
            (1, 3, 4),
            (1, 3, 4),
            {
                "final_norm.bias": (4,),
                "final_norm.weight": (4,),
                **transformer_layer(True, "layers.0."),
            },
            wrong_inputs=((2, 3, 5), (3, 4)),
            wrong_arguments=({**SMALL, "layers": 0}, {**SMALL, "layers": 1, "final_norm": 1}),
        ),
    ],
    "TransformerDecoderLayer": [
        Example(
            SMALL,
            (2, 3, 4),
            (2, 3, 4),
            transformer_layer(True),
            wrong_inputs=((2, 3, 5), (3, 4)),
            wrong_arguments=({**SMALL, "activation": "swish"}, {**SMALL, "bias": 1}),
        ),
    ],
    "TransformerEncoder": [
        Example(
            {**SMALL, "layers": 2},
            (2, 3, 4),
            (2, 3, 4),
            {**transformer_layer(prefix="layers.0."), **transformer_layer(prefix="layers.1.")},
            wrong_inputs=((2, 3, 5), (3, 4)),
            wrong_arguments=({**SMALL, "layers": 1.5}, {**SMALL, "layers": 1, "final_norm": 1}),
        ),
    ],
    "TransformerEncoderLayer": [
        Example(
            {**SMALL, "norm_first": True, "activation": "gelu"},
            (2, 3, 4),
            (2, 3, 4),
            transformer_layer(),
            wrong_inputs=((2, 3, 5), (3, 4)),
            wrong_arguments=({**SMALL, "activation": 3}, {**SMALL, "norm_first": "yes"}),
        ),
        Example({**SMALL, "dropout": 0.4}, (2, 3, 4), (2, 3, 4), transformer_layer(), random=True),
    ],
}

"""Layers, activations and initialisers."""

from . import init
from .activation_layers import (
    ELU,
    GELU,
    SELU,
    HardSigmoid,
    HardSwish,
    HardTanh,
    Identity,
    LeakyReLU,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from .activations import (
    elu,
    gelu,
    hard_sigmoid,
    hard_swish,
    hard_tanh,
    identity,
    leaky_relu,
    log_softmax,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    tanh,
)
from .attention import MultiHeadAttention
from .buffer import Buffer
from .build import build_layer, describe_layer
from .convolution import Conv1d, Conv2d, Conv3d, ConvTranspose2d
from .dot_product_attention import scaled_dot_product_attention
from .dropout import Dropout
from .embedding import Embedding
from .linear import Linear
from .module import Module
from .normalisation import BatchNorm, LayerNorm
from .pooling import AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d
from .positions import SinusoidalPositions, rotary, sinusoidal_positions
from .recurrent import GRU, LSTM, RNN
from .recurrent_cells import GRUCell, LSTMCell, RNNCell
from .sequential import Sequential
from .shape import Flatten, Rescale
from .torch_weights import load_torch_state, torch_state
from .transformer import TransformerDecoder, TransformerEncoder
from .transformer_layers import TransformerDecoderLayer, TransformerEncoderLayer

__all__ = [
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm",
    "Buffer",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose2d",
    "Dropout",
    "ELU",
    "Embedding",
    "Flatten",
    "GELU",
    "GRU",
    "GRUCell",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Identity",
    "LSTM",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MaxPool1d",
    "MaxPool2d",
    "Mish",
    "Module",
    "MultiHeadAttention",
    "PReLU",
    "RNN",
    "RNNCell",
    "ReLU",
    "ReLU6",
    "Rescale",
    "SELU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SinusoidalPositions",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "build_layer",
    "describe_layer",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_swish",
    "hard_tanh",
    "identity",
    "init",
    "leaky_relu",
    "load_torch_state",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "rotary",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "sinusoidal_positions",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
    "torch_state",
]

"""Whole models, small and complete: built of the layers of `nn`, saved and loaded like them."""

from .character_lstm import CharacterLSTM
from .generation import generate, stream
from .gpt import GPT
from .sampling import sample
from .sequence_tagger import SequenceTagger
from .text_classifier import TextClassifier, TokenEmbedding
from .text_encoder import EncoderClassifier, MaskedLanguageModel, TextEncoder

__all__ = [
    "GPT",
    "CharacterLSTM",
    "EncoderClassifier",
    "MaskedLanguageModel",
    "SequenceTagger",
    "TextClassifier",
    "TextEncoder",
    "TokenEmbedding",
    "generate",
    "sample",
    "stream",
]

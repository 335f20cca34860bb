"""Whole models, small and complete: built of the layers of `nn`, saved and loaded like them."""

from .beam_search import search
from .chain import chain_cross_entropy, find_best_tags
from .character_lstm import CharacterLSTM
from .generation import generate, stream
from .gpt import GPT
from .sampling import sample
from .sequence_tagger import SequenceTagger
from .text_classifier import TextClassifier, TokenEmbedding
from .text_encoder import MaskedLanguageModel, TextEncoder
from .translator import Translator

__all__ = [
    "GPT",
    "CharacterLSTM",
    "MaskedLanguageModel",
    "SequenceTagger",
    "TextClassifier",
    "TextEncoder",
    "TokenEmbedding",
    "Translator",
    "chain_cross_entropy",
    "find_best_tags",
    "generate",
    "sample",
    "search",
    "stream",
]

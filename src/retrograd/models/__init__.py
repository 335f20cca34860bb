"""Whole models, small and complete: built of the layers of `nn`, saved and loaded like them."""

from .character_lstm import CharacterLSTM
from .generation import generate, stream
from .gpt import GPT
from .sampling import sample
from .sequence_tagger import SequenceTagger

__all__ = ["GPT", "CharacterLSTM", "SequenceTagger", "generate", "sample", "stream"]

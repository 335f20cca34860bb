"""Whole models, small and complete: built of the layers of `nn`, saved and loaded like them."""

from .generation import generate
from .gpt import GPT
from .sampling import sample

__all__ = ["GPT", "generate", "sample"]

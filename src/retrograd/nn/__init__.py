"""Layers, activations and initialisers."""

from .module import Buffer, Module

__all__ = ["Buffer", "Module"]

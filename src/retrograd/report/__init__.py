"""Looks inside a compiled program: what it is made of, what that costs, how long it takes."""

from .report import Report

__all__ = ["Report"]

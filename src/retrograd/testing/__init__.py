"""For users' own rules and layers: the gradient checker, and strategies for hypothesis."""

from .gradients import check_gradients

__all__ = ["check_gradients"]

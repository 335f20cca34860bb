"""For users' own rules and layers: the gradient checker, and strategies for hypothesis.

`bisect_passes` says which pass of the compiler makes a program wrong.
"""

from .bisection import Bisection, bisect_passes
from .gradients import check_gradients

__all__ = ["Bisection", "bisect_passes", "check_gradients"]

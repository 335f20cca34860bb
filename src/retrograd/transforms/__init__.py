"""grad, value_and_grad, vjp, jvp, jacobian, hessian, vmap: functions in, functions out."""

from .arguments import parameter_names
from .forward import jvp
from .matrices import hessian, jacobian
from .reverse import grad, value_and_grad, vjp
from .vectorise import vmap

__all__ = [
    "grad",
    "hessian",
    "jacobian",
    "jvp",
    "parameter_names",
    "value_and_grad",
    "vjp",
    "vmap",
]

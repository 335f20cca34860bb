"""Metrics: what people read to judge a model. Outputs of the model first, targets second."""

from .base import Metric
from .classification import F1, Accuracy, BalancedAccuracy, Precision, Recall, TopK
from .confusion import confusion_matrix
from .registry import METRICS, get
from .regression import MAE, MSE, R2, RMSE
from .translations import chrf

__all__ = [
    "F1",
    "MAE",
    "METRICS",
    "MSE",
    "R2",
    "RMSE",
    "Accuracy",
    "BalancedAccuracy",
    "Metric",
    "Precision",
    "Recall",
    "TopK",
    "chrf",
    "confusion_matrix",
    "get",
]

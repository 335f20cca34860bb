"""Training: fit, evaluate, predict, save and resume."""

from .callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    RunCheckpoint,
    StopAtLoss,
    StopAtMetric,
)
from .events import BatchEnd, EpochBegin, EpochEnd, FitBegin, FitEnd
from .history import History
from .trainer import Trainer

__all__ = [
    "BatchEnd",
    "Callback",
    "EarlyStopping",
    "EpochBegin",
    "EpochEnd",
    "FitBegin",
    "FitEnd",
    "History",
    "ModelCheckpoint",
    "RunCheckpoint",
    "StopAtLoss",
    "StopAtMetric",
    "Trainer",
]

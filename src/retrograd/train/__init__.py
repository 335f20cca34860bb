"""Training: fit, evaluate, predict, save and resume."""

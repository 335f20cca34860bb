"""Forecasts: what follows a series of numbers."""

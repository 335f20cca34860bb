"""Encoders of texts, pretrained on hidden tokens."""

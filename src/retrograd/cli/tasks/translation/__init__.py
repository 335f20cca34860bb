"""Translators: texts and their translations."""

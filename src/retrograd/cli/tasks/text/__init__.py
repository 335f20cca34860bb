"""Texts: the class that each of them belongs to."""

"""Language models: the next character of a text."""

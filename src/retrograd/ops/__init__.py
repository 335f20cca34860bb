"""The operations: primitives with their rules, and what is written with them."""

"""Data: tables, data sets and batches, and what happens to them around the network."""

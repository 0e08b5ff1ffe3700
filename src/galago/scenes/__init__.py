"""Synthetic street scenes with exact labels, rendered from a seed."""

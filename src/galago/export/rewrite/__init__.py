"""Rewrites of the network before export that change no result."""

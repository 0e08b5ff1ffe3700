"""Pretrained models by name: table, download, cache, conversion."""

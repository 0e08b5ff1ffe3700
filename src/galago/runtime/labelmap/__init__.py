"""Logits into labels at the image's own size: exact, and only where a class boundary runs."""

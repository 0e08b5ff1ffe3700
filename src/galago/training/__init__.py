"""Training: from labeled photos to a checkpoint. Needs torch."""

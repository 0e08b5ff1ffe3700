"""Export: from a checkpoint to a model folder. Needs torch and the converters."""

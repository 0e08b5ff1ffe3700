"""The engines that run a model file: one module each, behind one interface."""

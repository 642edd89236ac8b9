"""Perturbations change a compiled model, one module per kind of physics."""

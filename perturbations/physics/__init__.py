"""Perturbations of the physics change a compiled model, with one module per kind of physics."""

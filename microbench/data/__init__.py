"""Datasets of logged transitions."""

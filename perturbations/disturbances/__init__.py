"""Disturbances change the signals between world and policy while an episode runs."""

"""Containers of policy files are read here without running or importing anything that a file names."""

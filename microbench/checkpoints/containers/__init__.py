"""Containers of policy files, read without running or importing anything that a file names."""

"""A study decides what an evaluation runs, and in which order."""

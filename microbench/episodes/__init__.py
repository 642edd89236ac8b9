"""The loop runs many episodes in lock step; beside it stands what acts inside it."""

"""The loop runs many episodes in lock step; the other modules act inside it."""

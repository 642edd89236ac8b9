"""Statistics of arrays and of cells, and their intervals."""

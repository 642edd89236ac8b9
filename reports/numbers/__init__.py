"""What follows from the rows as numbers: means with intervals, differences, curves, grids, the worst."""

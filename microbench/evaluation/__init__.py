"""An evaluation turns chunks of a plan into rows of the results table."""

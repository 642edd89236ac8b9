"""Episodes become pictures and videos."""

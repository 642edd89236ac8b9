"""Figures of a study; figure.mplstyle is their one style."""

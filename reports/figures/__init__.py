"""Numbers as pictures; figure.mplstyle is their one style."""

"""What other projects' own code writes, and what it does with it: one module per project."""

"""The networks, the dynamics ensemble, the algorithms and the training loop."""

"""Networks, dynamics ensemble, algorithms and training loop of model-based offline RL."""

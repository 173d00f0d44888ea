"""Learning: samples, losses, optimisers, the loop, checkpoints."""

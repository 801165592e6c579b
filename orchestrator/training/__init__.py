"""Training networks on this machine: epochs, batches, augmentation, optimisation, weights."""

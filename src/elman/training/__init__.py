"""Training: minibatches, optimizers, schedules, the trainer, checkpoints, recipes and runs."""

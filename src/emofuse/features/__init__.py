"""A recording becomes arrays: one extraction path for training, evaluation and prediction."""

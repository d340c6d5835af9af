"""From a command line to checked hyperparameters: recipes, model files, and their permitted values."""

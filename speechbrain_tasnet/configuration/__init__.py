"""From a command line to checked hyperparameters: recipes, model files, what is possible in them."""

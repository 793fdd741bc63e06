"""How a model is found: feeding, optimiser, the train step and the loop."""

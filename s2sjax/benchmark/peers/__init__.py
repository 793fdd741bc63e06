"""The same models and searches in PyTorch, to be measured beside ours."""

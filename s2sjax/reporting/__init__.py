"""How a run is shown: console, TensorBoard, tables, pictures, text scores."""

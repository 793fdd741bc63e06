"""How a run is shown: console, trackers, tables, pictures, text scores."""

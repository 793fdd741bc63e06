"""What a run is on the disk: every byte, and no model."""

"""Decoding any `StepFn`: pure functions that know no model."""

"""The answer of a benchmark: tables and pictures."""

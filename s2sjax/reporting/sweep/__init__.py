"""The answer of a sweep: tables, pictures and one page."""

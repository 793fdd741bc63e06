"""Tasks whose examples are numbers: files of series, and series that are generated."""

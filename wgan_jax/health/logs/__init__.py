"""Anyone's log of a run, read into a history: its format, which column is what, rows in order."""

"""What a run is worth: rules over its history, the judge that applies them, readers of logs."""

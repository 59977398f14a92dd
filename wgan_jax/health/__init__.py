"""What a run is worth: rules over its history, and the judge that applies them; readers of logs."""

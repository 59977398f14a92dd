"""Where images come from: `load` in `data.dataset` gives them all, as uint8."""

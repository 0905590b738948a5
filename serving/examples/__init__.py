"""Programs to start from: they use the client as a caller would."""

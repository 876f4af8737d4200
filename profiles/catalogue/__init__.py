"""Published measurements of models on accelerators, with their sources."""

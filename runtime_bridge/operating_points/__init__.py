"""Operating points chosen online for live models."""

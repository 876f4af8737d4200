"""The parts of `serving_soak.py`."""

"""What can go wrong beside a live runtime, and how it is seen: failing backends, memory, model files, clocks."""

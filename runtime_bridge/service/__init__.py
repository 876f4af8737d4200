"""Models served in batches by several instances, with admission control."""

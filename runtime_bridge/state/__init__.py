"""What the service keeps across restarts: plans, costs and decisions, in SQLite."""

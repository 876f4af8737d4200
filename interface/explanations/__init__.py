"""Plans, scenarios and journals in plain words: what limits each model, what binds, what was rejected, and why."""

"""Studies: cells, budgets, scheduling, the event store and scoring."""

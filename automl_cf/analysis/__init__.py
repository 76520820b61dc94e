"""From stored events to curves, tables, figures and verdicts."""

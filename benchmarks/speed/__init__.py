"""Honest speed measurements: this project's engines against the field's way of writing them and against plain C."""

"""Malformed files for everything that reads what a user hands in: mutators, subjects, a guard, a campaign."""

"""Collaborative filtering: ratings, splits, interaction functions, models, training and metrics."""

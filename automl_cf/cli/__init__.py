"""The command line. Importing it is quick: what is heavy is imported by the command that needs it."""

from automl_cf.cli.app import app, main

__all__ = ["app", "main"]

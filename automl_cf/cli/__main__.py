"""`python -m automl_cf.cli` is `automl-cf`, for where the script is not on the path."""

from automl_cf.cli import main

main()

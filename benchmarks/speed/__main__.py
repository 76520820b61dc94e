"""How fast training is, honestly: against the field's way of writing it, a compiled peer, and a plain C loop.

Run as `make bench` or `python -m automl_cf.benchmarks.speed`; writes measurements.csv, about.json, speed.md, figures.
"""

from automl_cf.benchmarks.speed.threads import restart_with_one_thread

if __name__ == "__main__":
    restart_with_one_thread("automl_cf.benchmarks.speed")

    from automl_cf.benchmarks.speed.command import main

    raise SystemExit(main(__doc__ or ""))

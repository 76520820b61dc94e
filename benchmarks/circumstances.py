"""The line under a measurement that says what it was made on."""

from automl_cf.suite.manifest import machine, versions

_NAMED = ("automl-cf", "python", "ray")


def circumstances() -> str:
    """Processor, cores and versions, in one sentence."""
    here, found = machine(), versions()
    packages = ", ".join(f"{name} {found[name]}" for name in _NAMED)
    return f"{here['processor']}, {here['cores']} cores; {packages}."

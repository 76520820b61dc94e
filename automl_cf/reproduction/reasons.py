"""The likely reasons why a claim did not come out as the paper has it: people's words, beside the results."""

import re
from pathlib import Path

from automl_cf.errors import InputError, suggest
from automl_cf.reading import read_toml
from automl_cf.reproduction.claims import CLAIMS

NAME = "reasons.toml"

_NUMBER = re.compile(r"(?<![\w.-])[+-]?\d")  # not that of a name, such as ml-1m


def read_reasons(folder: Path) -> dict[str, str]:
    """Return the reasons by claim of a folder's `NAME`, a line such as faster = "a sentence" each; none without it.

    They have no numbers: those of the report are all read from results. Raises InputError for what is otherwise.
    """
    path = folder / NAME
    if not path.exists():
        return {}
    reasons = read_toml(path)
    for claim, reason in reasons.items():
        if claim not in CLAIMS:
            raise InputError(f"'{path}' gives a reason for {claim!r:.60}, which is no claim.{suggest(claim, CLAIMS)}")
        if not isinstance(reason, str) or _NUMBER.search(reason):
            raise InputError(f"'{path}': {claim} is {reason!r:.60}, but must be a text without numbers.")
    return reasons

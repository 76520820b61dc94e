"""What was measured, as reports ask for it: medians with their spread, and ratios within rounds."""

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from automl_cf.benchmarks.speed.records import spread

Rounds = pd.Series
"""One number per round, by the round's number."""


class Spread(NamedTuple):
    """The median over rounds, and the quantiles at 10% and 90%."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Rounds) -> Self:
        """NaN where nothing was measured."""
        if values.empty:
            return cls(np.nan, np.nan, np.nan)
        return cls(*values.quantile([0.5, 0.1, 0.9]).tolist())

    def text(self, scale: float = 1.0, unit: str = "") -> str:
        """`median [low, high]` in three digits, or a dash."""
        if np.isnan(self.median):
            return "–"
        middle, low, high = (number(value * scale) for value in self)
        return f"{middle}{unit}" if low == high else f"{middle}{unit} [{low}, {high}]"


def number(value: float) -> str:
    """Three digits, without powers of ten."""
    return np.format_float_positional(float(f"{value:.3g}"), trim="-")


Setting = Mapping[str, object]
"""What the records of one setting have in common, such as {"batch": 512, "networks": "yes"}."""

ANY: Setting = {}


class Results:
    """All records of a run."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = spread(frame)

    def of(self, measurement: str, at: Setting = ANY, quantity: str | None = None) -> pd.DataFrame:
        """The records of a measurement: of one setting if `at` names it, of one quantity if that is given."""
        frame = self.frame[self.frame["measurement"] == measurement]
        for name, value in at.items():
            frame = frame[frame[name] == value] if name in frame else frame.iloc[:0]
        return frame if quantity is None else frame[frame["quantity"] == quantity]

    def rounds(self, measurement: str, subject: str, at: Setting = ANY, quantity: str = "seconds") -> Rounds:
        """A quantity of a subject by round; empty if it was not measured."""
        frame = self.of(measurement, at, quantity)
        return frame[frame["subject"] == subject].set_index("round")["value"]

    def ratio(self, measurement: str, over: str, under: str, at: Setting = ANY) -> Rounds:
        """How many times one subject's seconds are another's, round by round."""
        above, below = (self.rounds(measurement, subject, at) for subject in (over, under))
        return (above / below).dropna()

    def subjects(self, measurement: str, at: Setting = ANY) -> list[str]:
        """Who was measured, in the order of the first round."""
        return list(dict.fromkeys(self.of(measurement, at)["subject"]))

    def quantities(self, measurement: str, subject: str) -> list[str]:
        """What was measured of a subject, in order."""
        frame = self.of(measurement)
        return list(dict.fromkeys(frame.loc[frame["subject"] == subject, "quantity"]))

    def settings(self, measurement: str, *names: str) -> list[Setting]:
        """The settings of a measurement, as far as `names` tell them apart, in order."""
        frame = self.of(measurement)
        return [dict(zip(names, values, strict=True)) for values in frame[list(names)].drop_duplicates().to_numpy()]

"""Fair rounds: each round runs every subject once, each time another one first.

A machine that gets slower or busier then slows all subjects alike, and a ratio within a round stays true.
"""

from collections.abc import Callable, Iterator, Mapping

from automl_cf.benchmarks.speed.records import Record, Sample

Subject = Callable[[int], Sample]
"""Does its work once, from the given seed, and tells what it came to."""


def interleave(
    measurement: str, setting: str, subjects: Mapping[str, Subject], rounds: int, warm_up: bool = True
) -> Iterator[Record]:
    """Run the rounds; with `warm_up` one more goes before them, unrecorded, for caches and lazy set-up."""
    names = list(subjects)
    for number in range(-1 if warm_up else 0, rounds):
        first = number % len(names) if names else 0
        for name in names[first:] + names[:first]:
            sample = subjects[name](number + 1)
            if number >= 0:
                for quantity, value in sample.items():
                    yield Record(measurement, name, setting, number, quantity, value)

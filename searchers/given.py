"""No search: architectures that are named, trained and tested by a study's protocol as others are."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from automl_cf.errors import InputError
from automl_cf.searchers._interface import AskTellSearcher, Capabilities, SearchTask, searchers
from automl_cf.spaces.architecture import Architecture


@dataclass(frozen=True)
class GivenOptions:
    """`architectures`: as events and scores have them; by default the inner product alone."""

    architectures: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)] = ({"operation": "multiply"},)


@searchers.register("given")
class Given(AskTellSearcher):
    """Proposes the architectures of its options, once each, in their order, be they in the space or not.

    Raises InputError for one that is no architecture.
    """

    Options = GivenOptions
    capabilities = Capabilities(fixed_proposals=True)

    def __init__(self, task: SearchTask, options: GivenOptions) -> None:
        super().__init__(task, options)
        try:
            self._given = [Architecture.from_json(values) for values in options.architectures]
        except InputError as error:
            raise InputError(f"searcher 'given': options.architectures: {error}") from error

    def propose(self, number: int) -> Architecture | None:
        return self._given[number] if number < len(self._given) else None

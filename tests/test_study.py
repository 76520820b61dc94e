"""Studies: what is refused, with which words, and what a study resolves to."""

from pathlib import Path

import pytest
from small_runs import small_study

from automl_cf.errors import InputError
from automl_cf.suite.study import make_study, read_study

MINIMAL = {"datasets": ["ml-100k"], "searchers": ["random"], "budget": {"trials": 3}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"searcher": ["random"]}, "unknown key 'searcher'.*Did you mean 'searchers'"),
        ({"budget": {"second": 3}}, "unknown key 'budget.second'.*Did you mean 'seconds'"),
        ({"training": {"learning_rat": 3}}, "unknown key 'training.learning_rat'.*learning_rate"),
        ({"budget": {"seconds": -1}}, "budget.seconds is -1.*greater than 0"),
        ({"budget": {"trials": 0}}, "budget.trials is 0.*greater than 0"),
        ({"budget": {"visits": 2**64}}, "budget.visits is 18446744073709551616.*less than 9223372036854775808"),
        ({"budget": {}}, "budget.*at least one of trials, seconds, visits"),
        ({"seeds": []}, "seeds.*at least 1"),
        ({"seeds": [1, 1]}, "seeds.*differ"),
        ({"seeds": [-1]}, "seeds.*negative"),
        ({"seeds": [2**40]}, r"seeds.*below 2\*\*31"),
        ({"budget": {"seconds": float("inf")}}, "budget.seconds.*finite"),
        ({"dims": [0]}, "dims.*at least 1"),
        ({"dims": [10**8]}, r"dims is .100000000.: values must be at most 65536\."),
        ({"searchers": []}, r"searchers is \[\]: must have at least 1, but has 0\."),
        ({"datasets": [""]}, r"datasets\.0\.name is '': string should have at least 1 character\."),
        ({"searchers": ["random", "random"]}, "'random' is there twice"),
        ({"training": {"l2_grid": [-1.0]}}, "l2"),
        ({"resources": {"backend": "slurm"}}, "resources.backend is 'slurm'"),
        ({"name": "../up"}, "name is"),
    ],
)
def test_bad_studies_are_refused_in_one_sentence(change: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        make_study({**MINIMAL, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"searchers": ["randm"]}, "Unknown searcher 'randm'.*Did you mean 'random'"),
        ({"searchers": [{"name": "bayes", "options": {"startups": 3}}]}, "no option 'startups'.*'startup'"),
        ({"searchers": [{"name": "bayes", "options": {"startup": "x"}}]}, "option 'startup'"),
        ({"searchers": ["sif"]}, "one-shot.*seconds or visits"),
        ({"space": {"options": {"unit": 3}}}, "space 'interaction'.*unit"),
        ({"space": {"name": "interactions"}}, "unknown space.*Did you mean 'interaction'"),
        ({"space": {"options": {"activation": "gelu"}}}, "activation is 'gelu'.*sigmoid"),
        ({"space": {"options": {"operations": ["plus", "mult"]}}}, "Unknown operation 'mult'"),
    ],
)
def test_what_could_only_fail_later_is_refused_before(change: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make_study({**MINIMAL, **change}).check()


def test_cells_are_all_there_and_shuffled_within_each_seed() -> None:
    study = small_study(seeds=[1, 2, 3])
    cells = study.cells()
    assert len({cell.id for cell in cells}) == 3 * len(study.searchers)
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells)
    orders = {tuple(cell.searcher for cell in cells if cell.seed == seed) for seed in (1, 2, 3)}
    assert len(orders) > 1


def test_json_round_trip() -> None:
    study = small_study()
    assert make_study(study.model_dump(mode="json")) == study


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('datasets = ["ml-100k"]\nsearchers = ["random"]\n[budget]\ntrials = 3\n')
    assert read_study(path).name == "mine"
    path.write_text("datasets = [")
    with pytest.raises(InputError, match="not valid TOML"):
        read_study(path)
    with pytest.raises(InputError, match=r"nowhere.toml.*cannot be read"):
        read_study(tmp_path / "nowhere.toml")

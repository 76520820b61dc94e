import pytest
from ask_tell import searcher_of
from reference import tiny_task

from automl_cf.cf.data import plant
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.problem import Problem
from automl_cf.cf.splits import random_split
from automl_cf.errors import InputError
from automl_cf.spaces import Architecture, interaction_space

SPACE = interaction_space()


def test_it_proposes_the_truth_and_ends():
    truth = Architecture({"operation": "max"})  # not in the space, which has networks
    searcher = searcher_of("oracle", SPACE, truth=truth)
    assert [proposal.architecture for proposal in searcher.ask(3)] == [truth]
    assert searcher.ask() == []
    again = searcher_of("oracle", SPACE, truth=truth)
    assert again.load_state_dict(searcher.state_dict())[0].architecture == truth


def test_data_whose_truth_is_unknown_are_refused():
    with pytest.raises(InputError, match="searcher 'oracle' needs data whose interaction function is known"):
        searcher_of("oracle", SPACE)


@pytest.mark.parametrize("operation", ["multiply", "min"])
def test_no_operation_does_better_where_data_are_plenty(operation):
    data = plant(operation=operation, p="identity", q="identity", users=60, items=40, dim=2, density=0.6, noise=0.05)
    task = tiny_task(random_split(data.ratings, 0).for_search(), engine="fused", max_epochs=60, search_l2=1e-4)
    problem = Problem(task, NullMeter())
    (proposal,) = searcher_of("oracle", SPACE, truth=data.architecture).ask()
    assert proposal.architecture == Architecture({"operation": operation})
    best = problem.evaluate(proposal.architecture).rmse
    others = {"multiply", "plus", "min", "max", "concat"} - {operation}
    assert best < min(problem.evaluate(Architecture({"operation": other})).rmse for other in others)

"""`given`: architectures that are named are trained as everybody's are."""

import pytest
from small_runs import PLANTED, counted_events, small_study

from automl_cf.errors import InputError
from automl_cf.suite import run
from automl_cf.suite.study import make_study


def entry(*architectures):
    return {"name": "given", "options": {"architectures": list(architectures)}}


def test_what_is_given_is_tried_in_its_order_and_scored(tmp_path):
    numbers = [0.01 * i for i in range(16)]
    given = [{"operation": "plus"}, {"operation": "multiply", "p": numbers, "q": numbers, "activation": "tanh"}]
    study = small_study(searchers=[entry(*given)], budget={"trials": 9}, scoring={"points": 1, "top_k": 2})
    run.start(study, tmp_path / "run")
    events = counted_events(tmp_path / "run")
    assert [event["architecture"] for event in events if event["kind"] == "trial"] == given
    assert len([event for event in events if event["kind"] == "score" and event["rmse"] is not None]) == 2


@pytest.mark.parametrize(
    ("architectures", "message"),
    [([], "architectures"), ([{"operation": float("nan")}], "numbers must be finite"), (["plus"], "architectures")],
)
def test_what_is_no_architecture_is_refused(architectures, message):
    study = make_study({"datasets": [PLANTED], "searchers": [entry(*architectures)], "budget": {"trials": 1}})
    with pytest.raises(InputError, match=message):
        study.check()

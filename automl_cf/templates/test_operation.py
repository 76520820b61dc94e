"""my-thing as an operation: its shape, and its gradient against finite differences."""

from pathlib import Path

import pytest
import torch

from automl_cf import plugins
from automl_cf.cf.operations import operations

plugins.load([Path(__file__).with_name("my_thing.py")])


@pytest.mark.parametrize("order", [2, 3])
def test_my_thing_combines_rows_of_each_mode(order: int) -> None:
    operation = operations.get("my-thing")
    parts = [torch.randn(7, 4, dtype=torch.float64, requires_grad=True) for _ in range(order)]
    assert operation.combine(parts).shape == (7, operation.width(4, order))
    assert torch.autograd.gradcheck(lambda *given: operation.combine(given), parts)

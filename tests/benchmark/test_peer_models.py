"""What PyTorch has not been told how to do is refused in one line."""

import pytest

from s2sjax.benchmark.peers.model import check_supported
from s2sjax.config import ModelConfig
from s2sjax.errors import UsageError


@pytest.mark.parametrize(
    "changes",
    [
        {"cell": "mingru"},
        {"cell": "gru:reset=before"},
        {"attention": "multi_head:heads=2"},
        {"attention": "general", "context": "readout"},
        {"bridge": "mean"},
    ],
    ids=str,
)
def test_a_model_that_has_no_counterpart_is_refused(changes):
    with pytest.raises(UsageError, match=r"^peers: ") as error:
        check_supported(ModelConfig(**changes))
    assert "model." in str(error.value) and "\n" not in str(error.value)


def test_what_it_has_is_taken():
    for attention in ("none", "bahdanau", "bahdanau:units=8"):
        check_supported(ModelConfig(cell="gru", attention=attention, bridge="dense"))

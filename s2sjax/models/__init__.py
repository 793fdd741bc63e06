"""Models as Linen modules over pure recurrences: the only place that imports flax."""

from s2sjax.models.attention import ATTENTIONS, BahdanauAttention
from s2sjax.models.decoder import Decoder
from s2sjax.models.encoder import Encoder
from s2sjax.models.inputs import Embedding, Rows
from s2sjax.models.readout import OUTPUTS, Categorical, Numeric
from s2sjax.models.seq2seq import Seq2Seq

__all__ = [
    "ATTENTIONS",
    "OUTPUTS",
    "BahdanauAttention",
    "Categorical",
    "Decoder",
    "Embedding",
    "Encoder",
    "Numeric",
    "Rows",
    "Seq2Seq",
]

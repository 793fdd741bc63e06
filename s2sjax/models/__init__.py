"""Models as Linen modules over pure recurrences: the only place that imports flax."""

from s2sjax.models.attention import ATTENTIONS, BahdanauAttention
from s2sjax.models.decoder import Decoder
from s2sjax.models.encoder import Encoder
from s2sjax.models.seq2seq import Seq2Seq

__all__ = ["ATTENTIONS", "BahdanauAttention", "Decoder", "Encoder", "Seq2Seq"]

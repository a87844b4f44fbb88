"""First-order primitives, one family per file, each with its public function beside it."""

from funcgrad.ops.segments import segment_max, segment_min, segment_prod, segment_sum

__all__ = ["segment_max", "segment_min", "segment_prod", "segment_sum"]

"""First-order primitives, one family per file, each with its public function beside it."""

"""Two ways to run a task: `batched` (bit-equal and fast, for known tasks) and `fallback` (Gymnasium itself)."""

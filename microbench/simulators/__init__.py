"""The two ways to run a task: `batched` (exact and fast, known tasks) and `fallback` (Gymnasium itself)."""

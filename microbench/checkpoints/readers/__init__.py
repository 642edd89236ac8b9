"""One reader per family of policy files: it returns the stored policy with its normalisation and task."""

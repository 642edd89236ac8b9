"""One reader per family turns a policy file into layers, normalisation and task."""

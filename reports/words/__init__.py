"""Sentences about the numbers: verdict, notes, suspicions, and how `worst` was chosen."""

"""What is said about the numbers: the verdict, notes and suspicions, choices, how they were made."""

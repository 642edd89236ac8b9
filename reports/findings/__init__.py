"""Findings: numbers that each answer one question about a study."""

"""Solvers that choose an operating point for each model."""

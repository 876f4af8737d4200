"""Formulas of queueing theory: response times under random arrivals."""

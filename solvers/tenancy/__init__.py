"""Solvers of the problem of tenants that share an accelerator with little memory."""

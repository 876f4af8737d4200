"""Discrete-event simulation of tenants that share an accelerator and CPU cores."""

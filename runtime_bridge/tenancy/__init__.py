"""Tenants on a live, emulated accelerator, and the controller that re-allocates online."""

"""Command line, reports, and the functions behind the facade."""

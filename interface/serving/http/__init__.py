"""The server: connections, bodies, refusals, signs of life."""

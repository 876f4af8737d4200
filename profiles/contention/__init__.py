"""Co-run slowdown: measured in pairs, fitted, and checked on other pairs and on triples."""

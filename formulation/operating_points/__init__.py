"""Operating points: each model has a front of plans, one of which is in force; chosen jointly and online."""

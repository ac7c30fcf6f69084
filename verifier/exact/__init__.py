"""Exact rationals: a network's values, bounds of rows and linear programs without any rounding."""

"""Certificates of what a run proved: each is one that the checker has accepted."""

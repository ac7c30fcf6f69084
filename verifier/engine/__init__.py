"""The arithmetic of verifying: one value for a network's graph and weights (`Engine`), in numpy and compiled C.

Never imports torch. Values are arrays [B, n], their entries flat in row-major order.
"""

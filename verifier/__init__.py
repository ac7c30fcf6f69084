"""Standalone verification of ONNX networks: `from glscert.verifier.verify import Verifier, Settings`."""

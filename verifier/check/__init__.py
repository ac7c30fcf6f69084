"""The independent checker of certificates: numpy and onnx, and nothing of the arithmetic that found the proofs."""

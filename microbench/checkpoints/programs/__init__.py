"""Policies stored as programs (TorchScript, ONNX), interpreted operator by operator."""

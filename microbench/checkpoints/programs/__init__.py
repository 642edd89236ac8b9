"""Policies stored as programs (TorchScript, ONNX) are interpreted operator by operator."""

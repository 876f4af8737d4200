"""The Open Inference Protocol: requests in, responses out."""

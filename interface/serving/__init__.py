"""A server on the device: models behind the Open Inference Protocol, served by a plan that is kept right."""

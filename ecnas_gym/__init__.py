"""Gymnasium environments over energy-aware tabular neural architecture search."""

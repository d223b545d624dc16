"""The catalogue of experiments, the published figures, and how runs compare with both."""

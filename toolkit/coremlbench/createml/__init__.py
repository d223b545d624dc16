"""The Create ML run: augmentation, feature extraction, the classifier and its Core ML model."""

"""The domain: catalogue, prediction, manuals, answers, streams. Knows nothing of Flask."""

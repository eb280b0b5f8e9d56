"""Evaluation: perplexity, and scores of texts, for any LanguageModel."""

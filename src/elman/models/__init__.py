"""Models: everything that can give P(next token | past) answers one protocol, LanguageModel."""

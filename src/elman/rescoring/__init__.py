"""N-best rescoring: choosing among a speech recogniser's candidates with the help of a language model."""

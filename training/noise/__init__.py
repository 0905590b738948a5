"""Which labels are probably wrong: confident learning on probabilities that the labels themselves did not make."""

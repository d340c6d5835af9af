"""Making corpora: mixtures of any speech folder, the public corpora from their lists, synthetic voices."""

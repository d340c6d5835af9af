"""Make corpora: mixtures from any speech folder, the public corpora from their lists, synthetic voices."""

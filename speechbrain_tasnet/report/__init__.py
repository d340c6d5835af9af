"""Reports for people: the page of an evaluation, charts, players and spectrograms, the learning curve."""

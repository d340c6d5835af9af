"""What people look at: the page of an evaluation, charts, players and spectrograms, the learning curve."""

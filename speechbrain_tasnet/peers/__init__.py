"""Networks to compare ours with, in shapes that `separate` takes: a file a toolkit, and the paper's Pinv encoder.

An adapter holds a part of the toolkit's own network, weights and mathematics, and gives it the shapes of
`convtasnet`'s Encoder, MaskNet and Decoder. `separate` hands over how long the items of a padded batch are;
masks are zero behind an item's end, but these networks' norms, recurrences and attention do see the padding, as
they do in their own toolkits.
"""

"""Networks to compare ours with, in shapes that `separate` takes: one file per toolkit, and the paper's Pinv.

An adapter holds a part of the toolkit's own network, weights and mathematics, and gives it the shapes of
`convtasnet`'s Encoder, MaskNet and Decoder. `separate` passes on how long the items of a padded batch are;
masks are zero beyond an item's end, but these networks' norms, recurrences and attention do see the padding, as
they do in their own toolkits.
"""

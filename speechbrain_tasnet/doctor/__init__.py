"""What ``tasnet doctor`` examines: a file for each part, and the page that shows them."""

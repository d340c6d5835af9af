"""What ``tasnet doctor`` checks: one file per part, and the page that shows them."""

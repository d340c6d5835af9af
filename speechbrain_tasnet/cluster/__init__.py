"""Work beyond one machine: cut into jobs that submitit hands to Slurm, and joined again."""

"""Work on a cluster: divided into jobs that submitit passes to Slurm, and joined again."""

#!/bin/bash
# Run a command with --launcher slurm in a small job of its own, which submits the others and waits for them:
#
#   sbatch docs/slurm/launch.sh separate talks --out separated --launcher slurm --jobs 100 --minutes 240
#
#SBATCH --job-name=tasnet
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --time=2-00:00:00
#SBATCH --output=tasnet-%j.log

# Two minutes before its time is up, it cancels its jobs and ends. Submitted again, it does the rest.
#SBATCH --signal=B:TERM@120

# If its node fails, Slurm starts it again, and it continues.
#SBATCH --requeue
#SBATCH --open-mode=append

exec tasnet "$@"

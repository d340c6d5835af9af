#!/bin/bash
# Separate a large list of recordings, one path per line, with a job array, without submitit:
#
#   find talks -name '*.flac' > list.txt
#   sbatch --array=0-99 docs/slurm/separate.sh list.txt --out separated
#
# Submitted again with the same list, it does what is left.
#
#SBATCH --job-name=tasnet-separate
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --time=08:00:00
#SBATCH --output=separate-%A_%a.log

# A minute before its time is up, a job ends, leaving only whole files; if its node fails, Slurm starts it again.
#SBATCH --signal=B:TERM@60
#SBATCH --requeue
#SBATCH --open-mode=append

list=$1
shift
number=$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN + 1))
share=$(mktemp)
split --number="r/$number/$SLURM_ARRAY_TASK_COUNT" "$list" > "$share"
[ -s "$share" ] || exit 0

export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK
exec tasnet separate "@$share" --resume "$@"

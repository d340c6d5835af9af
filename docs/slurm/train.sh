#!/bin/bash
# Train on one or several nodes, with one process per GPU or, without GPUs, per node:
#
#   sbatch --gpus-per-node=4 docs/slurm/train.sh wsj0mix --data_folder wsj0-2mix
#   sbatch --gpus-per-node=4 --nodes=2 docs/slurm/train.sh wsj0mix --data_folder wsj0-2mix
#   sbatch --nodes=2 docs/slurm/train.sh wsj0mix --data_folder wsj0-2mix --device cpu --distributed_backend gloo
#
#SBATCH --job-name=tasnet-train
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --output=train-%j.log

# Two minutes before its time is up, Slurm sends USR1 to this shell, and to no other process.
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append

asked=
save_and_come_again() {
    echo "train.sh: the time is up; the training saves a checkpoint and is requeued"
    asked=yes
    # Without --batch it reaches all processes of the step. srun itself, sent a signal, would kill them.
    scancel --signal=TERM "$SLURM_JOB_ID"
}
trap save_and_come_again USR1

processes=${SLURM_GPUS_ON_NODE:-1}
export OMP_NUM_THREADS=$((SLURM_CPUS_PER_TASK / processes))
first=${MASTER_ADDR:-$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)}

# A shell runs its traps only while it waits, so the step is in the background.
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" torchrun \
    --nnodes="$SLURM_JOB_NUM_NODES" --nproc_per_node="$processes" \
    --rdzv_backend=c10d --rdzv_endpoint="$first:$((20000 + SLURM_JOB_ID % 10000))" --rdzv_id="$SLURM_JOB_ID" \
    -m speechbrain_tasnet.cli train "$@" &
step=$!

wait "$step"
status=$?
while kill -0 "$step" 2> /dev/null; do # the trap has ended the wait, not the step
    wait "$step"
    status=$?
done

if [ "$asked" ] && [ "$status" -ne 0 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"

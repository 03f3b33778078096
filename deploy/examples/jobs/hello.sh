#!/bin/sh
#SBATCH --job-name=hello-script
#SBATCH --ntasks=1 --time=5:00
#SBATCH --chdir=/tmp --output=hello-script-%j.out
#SBATCH --export=GREETING=hello
echo "$GREETING from $SLURM_JOB_NAME"

"""Where the commands of trials run: processes here, Ray, Slurm."""

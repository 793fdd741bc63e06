#!/usr/bin/env bash
# Runs one `s2sjax` command on every worker of a TPU pod.
#
# UNTESTED: written from the documentation of gcloud and jax; no TPU was at hand.
#
#   scripts/tpu_pod.sh TPU_NAME ZONE train --config=FILE --workdir=DIR
#   scripts/tpu_pod.sh TPU_NAME ZONE sweep --config=FILE --workdir=DIR
#
# train: one run on all chips. `--multihost` is added; the workers find one another by
#   the pod's metadata. DIR must be on storage that all of them mount (NFS, Filestore).
# sweep: a sweep of its own on each worker, in DIR/worker-N, which may be on its local
#   disk. Its trials run one after another, since a chip serves one process, and each
#   on all chips of the worker. Divide the trials yourself: '{worker}' in an argument
#   becomes the worker's number, e.g. --config=sweep_{worker}.py.
#
# $S2SJAX_DIR is the checkout on the workers (default: s2sjax, below the home directory),
# with s2sjax[tpu] installed for the Python in $PYTHON (default: python3). Ctrl-C here
# does not reach the workers; stop a run with
#   gcloud compute tpus tpu-vm ssh TPU_NAME --zone=ZONE --worker=0 \
#     --command='kill -TERM PID'
# where PID is in DIR/lock: all workers save and stop at the same step.
set -euo pipefail

if [[ $# -lt 4 || ! $3 =~ ^(train|sweep)$ ]]; then
  sed -n '2,21{s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
name=$1 zone=$2 command=$3
shift 3

environment=
if [[ $command == train ]]; then
  words=(--multihost)
else
  words=(--backend=processes --workers=1)
  # Else a worker waits for the chips of the others.
  environment="TPU_PROCESS_BOUNDS=1,1,1 TPU_HOST_BOUNDS=1,1,1 "
fi
for word in "$@"; do
  if [[ $command == sweep && $word == --workdir=* ]]; then
    word="$word/worker-{worker}"
  fi
  words+=("$word")
done

# Quoted for the shell of the worker, which alone knows its number.
remote="cd $(printf '%q' "${S2SJAX_DIR:-s2sjax}")"
remote+=" && worker=\${TPU_WORKER_ID:-\$(hostname | sed 's/.*-w-//')}"
remote+=" && exec env ${environment}$(printf '%q' "${PYTHON:-python3}") -m s2sjax $command"
for word in "${words[@]}"; do
  quoted=$(printf '%q' "$word")
  remote+=" ${quoted//\\\{worker\\\}/\"\$worker\"}"
done

exec gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="$remote"

"""Slurm's programs as shell scripts that run jobs on this machine, for the tests.

In the folder that they share `N` holds the state of job N, `N.status` its exit status,
`N.sh` its script and `N.flags` what sbatch was given. While there is a file `hold` jobs
wait, and where there is a file `refusal` sbatch says what is in it.
"""

import os

PROGRAMS = {
    "sbatch": """
[ -e refusal ] && { echo "sbatch: error: $(cat refusal)" >&2; exit 1; }
case "$*" in *--test-only*) exit 0 ;; esac
n=$(($(cat last 2>/dev/null || echo 0) + 1)); echo $n >last
echo "$@" >$n.flags; cat >$n.sh; echo PENDING >$n
SLURM_JOB_ID=$n SLURMD_NODENAME=n1 setsid bin/job $n >/dev/null 2>&1 &
echo $n
""",
    "job": """
trap : TERM
echo $$ >$1.pid
while [ -e hold ]; do sleep 0.05; done
[ $(cat $1) = PENDING ] || exit
echo RUNNING >$1
(cd / && PATH=$F/bin:$PATH exec sh $F/$1.sh); code=$?
echo $((256 * code)) >$1.status
[ $(cat $1) = RUNNING ] || exit
[ $code = 0 ] && echo COMPLETED >$1 || echo FAILED >$1
""",
    "srun": """
cd /
while case $1 in --*) true ;; *) false ;; esac; do shift; done
exec "$@"
""",
    "scancel": """
signal=
for each in "$@"; do
  case $each in
    --signal=*) signal=${each#*=} ;;
    --*) ;;
    *)
      kill -${signal:-TERM} -$(cat $each.pid)
      [ -n "$signal" ] && continue
      echo CANCELLED >$each
      sleep 0.2; kill -KILL -$(cat $each.pid) ;;
  esac
done
exit 0
""",
    "squeue": """
reason=$(cat reason 2>/dev/null || echo None)
for n in $(seq $(cat last 2>/dev/null || echo 0)); do
  [ -e $n ] || continue
  printf '%-20s%-20s%-12s%-16s%-64s%-64s%-200s\\n' $n $(cat $n) \\
    $(cat $n.status 2>/dev/null || echo 0) 5:00 n1 low "$reason"
done
""",
}


def install(folder, monkeypatch):
    """Puts the programs first on the path, with a folder that they share."""
    (folder / "bin").mkdir(parents=True)
    for name, text in PROGRAMS.items():
        path = folder / "bin" / name
        path.write_text(f"#!/bin/sh\nF={folder}; cd $F\n{text}")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    return folder

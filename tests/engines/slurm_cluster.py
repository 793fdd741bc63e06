"""A Slurm of two nodes on loopback, in a folder, as processes of ours."""

import os
import shutil
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "unshare")
ACCOUNTING = ("slurmdbd", "mariadbd", "mariadb-install-db")
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
SLURM = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=16817
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld
SlurmdLogFile={folder}/log/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
JobAcctGatherType=jobacct_gather/linux
GresTypes=gpu
NodeName=DEFAULT CPUs=1 Gres=gpu:1
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=16818 Feature=fast
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port=16819
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 GraceTime=5
PartitionName=high Nodes=ALL PriorityTier=10
"""
ACCOUNTED = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=16820
AccountingStoragePass={folder}/munge.socket
AccountingStorageEnforce=limits,qos
"""
SLURMDBD = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=16820
SlurmUser=root
LogFile={folder}/log/slurmdbd
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=16821
StorageUser=root
StorageLoc=slurm
CommunicationParameters=NoInAddrAny
"""


def lacking(has_accounting: bool) -> str:
    """What is missing here; empty where nothing is."""
    names = PROGRAMS + ACCOUNTING * has_accounting
    missing = [name for name in names if shutil.which(name, path=PATH) is None]
    if missing:
        packages = "slurm-wlm munge slurmdbd mariadb-server"
        return f"there is no {', '.join(missing)} (Debian: {packages})"
    return "" if os.geteuid() == 0 else "a Slurm in a folder needs root"


class Cluster:
    """It runs from here on, until it is closed.

    On its second node the folder `hidden` is empty, whatever is in it elsewhere.
    """

    def __init__(self, folder: Path, has_accounting: bool):
        self.folder, self.has_accounting = folder, has_accounting
        self.hidden = folder / "hidden"
        self.first = 0  # of the jobs since it settled
        for name in ("state", "spool", "log", "mysql", "hidden"):
            (folder / name).mkdir()
        self.environ = {
            **os.environ,
            "PATH": PATH,
            "SLURM_CONF": f"{folder}/slurm.conf",
        }
        self._services: list[subprocess.Popen] = []
        text = SLURM + ACCOUNTED * has_accounting
        (folder / "slurm.conf").write_text(text.format(folder=folder))
        (folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        folder = self.folder
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o600)
        files = [
            f"--{name}-file={folder}/munge.{name}"
            for name in ("key", "pid", "seed", "log")
        ]
        self._serve(
            "munged",
            "--foreground",
            "--force",
            f"--socket={folder}/munge.socket",
            *files,
        )
        self._until(lambda: (folder / "munge.socket").exists())
        if self.has_accounting:
            self._account()
        self._serve("slurmctld", "-D")
        self._serve("slurmd", "-D", "-N", "n1")
        hide = f"mount -t tmpfs none {self.hidden} && exec slurmd -D -N n2"
        self._serve("unshare", "--mount", "sh", "-c", hide)
        self._until(lambda: self._works("squeue"))
        self.settle()

    def _account(self) -> None:
        mysql, to = self.folder / "mysql", "--user=root"
        install = ["mariadb-install-db", to, f"--datadir={mysql}", "--skip-test-db"]
        self.run(*install)
        where = [f"--socket={mysql}/socket", "--bind-address=127.0.0.1", "--port=16821"]
        self._serve(
            "mariadbd",
            "--no-defaults",
            to,
            f"--datadir={mysql}",
            "--skip-grant-tables",
            "--skip-networking=0",
            *where,
        )
        dbd = self.folder / "slurmdbd.conf"
        dbd.write_text(SLURMDBD.format(folder=self.folder))
        dbd.chmod(0o600)
        self._until(lambda: (mysql / "socket").exists())
        self._serve("slurmdbd", "-D")
        self._until(lambda: self._works("sacctmgr", "-n", "show", "cluster"))
        for words in (
            ("cluster", "test"),
            ("account", "main"),
            ("user", "root", "account=main"),
        ):
            self.run("sacctmgr", "-i", "add", *words)

    def run(self, *words: str) -> str:
        """What a program of Slurm's prints."""
        done = subprocess.run(
            words, env=self.environ, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def states(self, *fields: str) -> list[list[str]]:
        """The given fields of all jobs since it settled, those that are over too."""
        form = "|".join(("%i", *fields))
        lines = self.run("squeue", "-h", "-t", "all", "-o", form).splitlines()
        rows = [line.split("|") for line in lines]
        return [row[1:] for row in rows if int(row[0]) >= self.first]

    def settle(self) -> None:
        """Ends all jobs, and waits for both nodes."""
        jobs = [number for (number,) in self.states("%i")]
        if jobs:
            self.run("scancel", "--quiet", *jobs)
        for node in ("n1", "n2"):
            self._works("scontrol", "update", f"nodename={node}", "state=resume")
        words = ("sinfo", "-h", "-N", "-p", "low", "-t", "idle")
        self._until(lambda: self.run(*words).count("\n") == 2)
        self.first = 1 + max((int(number) for number in jobs), default=0)

    def close(self) -> None:
        """Ends what was started, in the reverse order."""
        for service in reversed(self._services):
            service.terminate()
            try:
                service.wait(20)
            except subprocess.TimeoutExpired:
                service.kill()
                service.wait()

    def _serve(self, *words: str) -> None:
        with open(self.folder / "log" / words[0], "ab") as log:
            service = subprocess.Popen(
                words,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._services.append(service)

    def _works(self, *words: str) -> bool:
        return (
            subprocess.run(words, env=self.environ, capture_output=True).returncode == 0
        )

    def _until(self, is_so, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < until, "Slurm does not start; see " + str(
                self.folder
            )
            assert all(s.poll() is None for s in self._services), self._services
            time.sleep(0.1)

from _typeshed import SupportsGetItem
from os import PathLike
from typing import Any, SupportsFloat, SupportsIndex, final

__all__ = ["Container", "Diagnosis", "DomainEnergy", "Ended", "EnergyMeter", "MachineSpec", "MeasuredZone", "Measurement", "ModelEntry", "Monitor", "Node", "Note", "Pod", "Process", "Provenance", "RawColumns", "RawModel", "RawOptions", "RawRegistry", "Ready", "Snapshot", "Sources", "VirtualMachine", "Zone", "_raise", "doctor", "train_arrays", "train_csv", "version"]

@final
class Container:
    """
    One container, the processes that ended included.
    """
    def __repr__(self, /) -> str: ...
    @property
    def counters(self, /) -> dict[str, int]:
        """
        Events.
        """
    @property
    def cpu_seconds(self, /) -> float:
        """
        CPU time.
        """
    @property
    def id(self, /) -> str:
        """
        The id, 64 hexadecimal digits with the known runtimes.
        """
    @property
    def idle_joules(self, /) -> dict[str, float]:
        """
        Its processes' shares of the machine's idle energy, by domain.
        """
    @property
    def joules(self, /) -> dict[str, float]:
        """
        Active energy by domain.
        """
    @property
    def name(self, /) -> str | None:
        """
        Its name, where something told it.
        """
    @property
    def pod_uid(self, /) -> str | None:
        """
        The uid of its pod.
        """
    @property
    def runtime(self, /) -> str:
        """
        What brought it up: docker, containerd, crio, podman or kubernetes.
        """
    @property
    def state(self, /) -> str:
        """
        `running` or `terminated`.
        """
    def to_dict(self, /) -> dict[str, Any]:
        """
        The same figures as plain dictionaries, lists, strings and numbers.
        """
    @property
    def watts(self, /) -> dict[str, float]:
        """
        Active power by domain.
        """

@final
class Diagnosis:
    """
    What `doctor` found.
    """
    def __repr__(self, /) -> str: ...
    @property
    def machine(self, /) -> MachineSpec:
        """
        What kind of machine it is.
        """
    @property
    def measured(self, /) -> bool:
        """
        Whether energy is measured here; if not, it is modeled.
        """
    @property
    def notes(self, /) -> list[Note]:
        """
        Every source of energy and usage, the ones that are opt-in included.
        """
    @property
    def report(self, /) -> str:
        """
        The same as text for people, a line a part.
        """
    def to_dict(self, /) -> dict[str, Any]:
        """
        The same figures as plain dictionaries, lists, strings and numbers.
        """

@final
class DomainEnergy:
    """
    All zones of one domain. Domains overlap: they are not to be added up.
    """
    def __repr__(self, /) -> str: ...
    @property
    def active_joules(self, /) -> float:
        """
        What the work cost.
        """
    @property
    def active_watts(self, /) -> float | None:
        """
        Mean power of the work.
        """
    @property
    def idle_joules(self, /) -> float:
        """
        What it would have cost without work.
        """
    @property
    def idle_residual(self, /) -> float:
        """
        Idle joules that no process carries.
        """
    @property
    def idle_watts(self, /) -> float | None:
        """
        Mean power without the work.
        """
    @property
    def joules(self, /) -> float:
        """
        All energy since the monitor started.
        """
    @property
    def provenance(self, /) -> Provenance:
        """
        Where the figures come from.
        """
    @property
    def residual(self, /) -> dict[str, float]:
        """
        Active joules that no process was charged with, by cause.
        """
    def to_dict(self, /) -> dict[str, Any]:
        """
        The same figures as plain dictionaries, lists, strings and numbers.
        """
    @property
    def watts(self, /) -> float | None:
        """
        Mean power of the last interval; None when no zone could be read.
        """

@final
class Ended:
    """
    Ended processes without an entry of their own, together by container and name.
    """
    def __repr__(self, /) -> str: ...
    @property
    def comm(self, /) -> str:
        """
        Their name.
        """
    @property
    def container(self, /) -> str | None:
        """
        The id of the container they ran in.
        """
    @property
    def count(self, /) -> int:
        """
        How many.
        """
    @property
    def counters(self, /) -> dict[str, int]:
        """
        Events.
        """
    @property
    def cpu_seconds(self, /) -> float:
        """
        CPU time.
        """
    @property
    def idle_joules(self, /) -> dict[str, float]:
        """
        Their shares of the machine's idle energy, by domain.
        """
    @property
    def joules(self, /) -> dict[str, float]:
        """
        Active energy by domain.
        """
    def to_dict(self, /) -> dict[str, Any]:
        """
        The same figures as plain dictionaries, lists, strings and numbers.
        """

@final
class EnergyMeter:
    """
    Measures blocks of code, processes, cgroups and commands. Blocks may overlap and nest, on any thread.
    """
    def __new__(cls, /, *, root: str | PathLike[str] | None = None, proc: str | PathLike[str] | None = None, sys: str | PathLike[str] | None = None, fake: bool = False, rapl: SupportsGetItem[int, str] = ..., hwmon: bool = True) -> EnergyMeter:
        """
        Opens the meters of this machine, or the power model where it has none.

        Parameters
        ----------
        root, proc, sys
            Folders that stand for ``/``, ``/proc`` and ``/sys``, in containers and tests.
        fake
            A scripted meter of constant power, for tests and demonstrations.
        rapl
            The ways to RAPL to try, in order, the first that works is used: ``"rapl-powercap"``, ``"rapl-perf"``,
            ``"rapl-msr"``.
        hwmon
            Whether to look for power and energy sensors of the platform.
        """
    def __repr__(self, /) -> str: ...
    def measure(self, /, scope: str = "process", *, pid: int | None = None, cgroup: str | None = None) -> Measurement:
        """
        A block to be measured: ``with meter.measure() as m``.

        Parameters
        ----------
        scope
            ``"process"`` charges the block with the CPU time of all threads of this process and of its children that
            ended meanwhile; ``"thread"`` with that of the calling thread alone.
        pid, cgroup
            Another process, or everything in a cgroup by its path, in place of this process.
        """
    def measure_command(self, /, command: "Any", *, cwd: str | PathLike[str] | None = None) -> Measurement:
        """
        Runs a command to its end and tells what it and its children used.

        An exception of a signal handler, such as KeyboardInterrupt, stops the command: by an interrupt, or by SIGTERM for any
        other exception, and by SIGKILL where it stays for five seconds.

        Parameters
        ----------
        command
            The program and its arguments. Input and output are this process's own.
        cwd
            The folder to run it in.
        """
    @property
    def notes(self, /) -> list[Note]:
        """
        Every meter that was tried: which are read, and why others are not.
        """

@final
class MachineSpec:
    """
    What kind of machine it is. What a machine does not tell is None.
    """
    def __repr__(self, /) -> str: ...
    @property
    def chips(self, /) -> int | None:
        """
        Sockets.
        """
    @property
    def cores(self, /) -> int | None:
        """
        Logical CPUs.
        """
    @property
    def frequency(self, /) -> int | None:
        """
        Highest frequency in MHz, rounded to 100.
        """
    @property
    def guest(self, /) -> bool:
        """
        Whether it is a guest of a hypervisor.
        """
    @property
    def memory(self, /) -> int | None:
        """
        Memory in GiB.
        """
    @property
    def processor(self, /) -> str | None:
        """
        Processor in the model database's spelling, such as `intel_xeon_platinum_8275cl`.
        """
    @property
    def threads_per_core(self, /) -> int | None:
        """
        Hardware threads a physical core.
        """
    def to_dict(self, /) -> dict[str, Any]:
        """
        The same figures as plain dictionaries, lists, strings and numbers.
        """
    @property
    def vendor(self, /) -> str | None:
        """
        Vendor, lower case, such as `intel` or `amd`.
        """

@final
class MeasuredZone:
    """
    What one domain used during a block.
    """
    def __repr__(self, /) -> str: ...
    @property
    def joules(self, /) -> float:
        """
        Active energy of the block.
        """
    @property
    def node_joules(self, /) -> float:
        """
        All the machine used in the domain, idle included.
        """
    @property
    def provenance(self, /) -> Provenance:
        """
        Where the figures come from.
        """
    def to_dict(self, /) -> dict[str, Any]:
        """
        The same figures as plain dictionaries, lists, strings and numbers.
        """

@final
class Measurement:
    """
    What a block used. Asked for inside of the block, the figures are those so far.
    """
    def __aenter__(self, /) -> "Any":
        """
        As ``__enter__``, for ``async with``: nothing is waited for.
        """
    def __aexit__(self, /, *error: "object") -> "Any":
        """
        As ``__exit__``.
        """
    def __enter__(self, /) -> Measurement: ...
    def __exit__(self, /, *error: "object") -> None:
        """
        What the block raised goes on; what cannot be told of it then is raised by the figures.
        """
    def __repr__(self, /) -> str: ...
    @property
    def cpu_seconds(self, /) -> float:
        """
        CPU time of the block.
        """
    @property
    def interval(self, /) -> tuple[float, float] | None:
        """
        The lowest and highest joules that fit the readings, for a block too short for the meter's step; else None.
        """
    @property
    def joules(self, /) -> float | None:
        """
        Active energy of the block in joules: package and memory where they are known, else the platform. None where
        nothing could be read.
        """
    @property
    def node_joules(self, /) -> float | None:
        """
        All the machine used meanwhile in joules, idle included.
        """
    @property
    def provenance(self, /) -> Provenance | None:
        """
        Where `joules` comes from; None where nothing could be read.
        """
    @property
    def returncode(self, /) -> int | None:
        """
        The exit status of a measured command, or minus the signal that ended it; None for a block of code.
        """
    @property
    def seconds(self, /) -> float:
        """
        Wall time of the block.
        """
    def to_dict(self, /) -> dict[str, Any]:
        """
        The same figures as plain dictionaries, lists, strings and numbers, all of one reading.
        """
    @property
    def watts(self, /) -> float | None:
        """
        Mean active power of the block.
        """
    @property
    def zones(self, /) -> dict[str, MeasuredZone]:
        """
        Each domain apart. Domains overlap: they are not to be added up.
        """

@final
class ModelEntry:
    """
    One model of a registry, as its metadata describes it.
    """
    def __repr__(self, /) -> str: ...
    @property
    def features(self, /) -> list[str]:
        """
        Its features, in column order.
        """
    @property
    def group(self, /) -> str:
        """
        The feature group that it lies in.
        """
    @property
    def mae_watts(self, /) -> float | None:
        """
        The published mean absolute error in watts: that of its worst component.
        """
    @property
    def name(self, /) -> str:
        """
        Its name, such as `SGDRegressorTrainer_1`.
        """
    @property
    def node_type(self, /) -> int | None:
        """
        The machine type that it is of.
        """
    @property
    def output_type(self, /) -> str:
        """
        `AbsPower` or `DynPower`.
        """
    @property
    def path(self, /) -> str:
        """
        Where it lies in its pipeline.
        """
    @property
    def source(self, /) -> str:
        """
        The meter that its training power came from.
        """
    def to_dict(self, /) -> dict[str, Any]:
        """
        The same figures as plain dictionaries, lists, strings and numbers.
        """
    @property
    def trainer(self, /) -> str:
        """
        The algorithm that trained it.
        """

@final
class Monitor:
    """
    Watches one machine: each sample tells what everything on it used since the sample before.

    Works without privileges and without a meter; `sources` says what is used and why. Several monitors can watch at once.
    """
    def __new__(cls, /, *, usage: str = "auto", counters: SupportsGetItem[int, str] = ..., retention: SupportsFloat | SupportsIndex = 600.0, ended_limit: SupportsIndex = 500, root: str | PathLike[str] | None = None, proc: str | PathLike[str] | None = None, sys: str | PathLike[str] | None = None, fake: bool = False, rapl: SupportsGetItem[int, str] = ..., hwmon: bool = True, idle: str = "usage-ratio", idle_share: str = "none") -> Monitor:
        """
        Opens the best sources that work here.

        Parameters
        ----------
        usage
            Where CPU time comes from: ``"ebpf"`` (exact), ``"procfs"`` (needs no privilege), or ``"auto"``.
        counters
            Counts wanted beyond CPU time, such as ``"page_cache_hits"``. Their kernel hooks attach only then.
        retention
            Seconds that ended workloads keep their totals.
        ended_limit
            How many ended processes keep an entry of their own, the largest first.
        root, proc, sys
            Folders that stand for ``/``, ``/proc`` and ``/sys``, in containers and tests.
        fake
            A scripted meter of constant power, for tests and demonstrations.
        rapl
            The ways to RAPL to try, in order, the first that works is used: ``"rapl-powercap"``, ``"rapl-perf"``,
            ``"rapl-msr"``.
        hwmon
            Whether to look for power and energy sensors of the platform.
        idle
            How energy is split into active and idle: by the busy share of the CPU time (``"usage-ratio"``), or by the power
            without work that is fitted to power and load (``"fitted"``).
        idle_share
            How idle energy is handed to workloads: ``"none"``, ``"equal"`` to each, or by ``"usage"``.
        """
    def __repr__(self, /) -> str: ...
    @property
    def meter(self, /) -> EnergyMeter:
        """
        Measures blocks of code and commands with this monitor's meters, apart from its samples.
        """
    def name_pods(self, /, pod_list: bytes) -> int:
        """
        Tells who the pods on this machine are: the next sample names them and their containers.

        Parameters
        ----------
        pod_list
            A pod list, JSON as bytes: what the kubelet answers at ``/pods``, or the API server at ``/api/v1/pods``.

        Returns
        -------
        How many pods it names.
        """
    def sample(self, /) -> Snapshot:
        """
        Takes a sample. The first one is the baseline: nothing is booked from before it.
        """
    @property
    def sources(self, /) -> Sources:
        """
        Which sources are in use, and why not others.
        """

@final
class Node:
    """
    The machine.
    """
    def __repr__(self, /) -> str: ...
    @property
    def busy_ratio(self, /) -> float | None:
        """
        Busy share of the CPU time in the last interval, 0 to 1; None on the first sample.
        """
    @property
    def busy_seconds(self, /) -> float:
        """
        Busy CPU time since the monitor started.
        """
    @property
    def counters(self, /) -> dict[str, int]:
        """
        Events since the monitor started.
        """
    @property
    def cpus(self, /) -> int:
        """
        Online CPUs.
        """
    @property
    def domains(self, /) -> dict[str, DomainEnergy]:
        """
        Zones put together by domain.
        """
    def to_dict(self, /) -> dict[str, Any]:
        """
        The same figures as plain dictionaries, lists, strings and numbers.
        """
    @property
    def unexplained_ratio(self, /) -> float | None:
        """
        Busy time of the last interval that nothing accounts for, as a share of busy time.
        """
    @property
    def zones(self, /) -> list[Zone]:
        """
        Every zone, apart.
        """

@final
class Note:
    """
    Whether one part of a source works here.
    """
    def __repr__(self, /) -> str: ...
    @property
    def active(self, /) -> bool:
        """
        Whether it is in use.
        """
    @property
    def hint(self, /) -> str:
        """
        The one thing that would change it; may be empty.
        """
    @property
    def part(self, /) -> str:
        """
        The part, such as `softirq_entry`.
        """
    def to_dict(self, /) -> dict[str, Any]:
        """
        The same figures as plain dictionaries, lists, strings and numbers.
        """
    @property
    def why(self, /) -> str:
        """
        Why not, or how; may be empty.
        """

@final
class Pod:
    """
    One pod: its containers, those that were restarted or ended included, and its processes outside of them.
    """
    def __repr__(self, /) -> str: ...
    @property
    def counters(self, /) -> dict[str, int]:
        """
        Events.
        """
    @property
    def cpu_seconds(self, /) -> float:
        """
        CPU time.
        """
    @property
    def idle_joules(self, /) -> dict[str, float]:
        """
        Its processes' shares of the machine's idle energy, by domain.
        """
    @property
    def joules(self, /) -> dict[str, float]:
        """
        Active energy by domain.
        """
    @property
    def name(self, /) -> str | None:
        """
        Its name, where a pod list told it.
        """
    @property
    def namespace(self, /) -> str | None:
        """
        Its namespace, where a pod list told it.
        """
    @property
    def state(self, /) -> str:
        """
        `running` or `terminated`.
        """
    def to_dict(self, /) -> dict[str, Any]:
        """
        The same figures as plain dictionaries, lists, strings and numbers.
        """
    @property
    def uid(self, /) -> str:
        """
        The uid.
        """
    @property
    def watts(self, /) -> dict[str, float]:
        """
        Active power by domain.
        """

@final
class Process:
    """
    One process. Figures are since it was first seen, watts of the last interval.
    """
    def __repr__(self, /) -> str: ...
    @property
    def cgroup(self, /) -> str | None:
        """
        The cgroup's path; None when unknown.
        """
    @property
    def comm(self, /) -> str:
        """
        The main thread's name, at most 15 bytes.
        """
    @property
    def command(self, /) -> str | None:
        """
        The command line.
        """
    @property
    def container(self, /) -> str | None:
        """
        The id of its container.
        """
    @property
    def counters(self, /) -> dict[str, int]:
        """
        Events.
        """
    @property
    def cpu_seconds(self, /) -> float:
        """
        CPU time.
        """
    @property
    def exe(self, /) -> str | None:
        """
        The executable's path; None for kernel threads and where it may not be read.
        """
    @property
    def idle_joules(self, /) -> dict[str, float]:
        """
        Its equal share of the machine's idle energy, by domain.
        """
    @property
    def joules(self, /) -> dict[str, float]:
        """
        Active energy by domain.
        """
    @property
    def pid(self, /) -> int:
        """
        The process id.
        """
    @property
    def pod(self, /) -> str | None:
        """
        The uid of its pod.
        """
    @property
    def start_seconds(self, /) -> float:
        """
        Start time in seconds since boot.
        """
    @property
    def state(self, /) -> str:
        """
        `running` or `terminated`.
        """
    def to_dict(self, /) -> dict[str, Any]:
        """
        The same figures as plain dictionaries, lists, strings and numbers.
        """
    @property
    def unit(self, /) -> str | None:
        """
        Its systemd unit.
        """
    @property
    def vm(self, /) -> str | None:
        """
        The id of the virtual machine that it is.
        """
    @property
    def watts(self, /) -> dict[str, float]:
        """
        Active power by domain.
        """

@final
class Provenance:
    """
    Where a figure comes from and how sure it is.
    """
    def __repr__(self, /) -> str: ...
    @property
    def in_range(self, /) -> bool | None:
        """
        Whether the model's inputs lie in the range that it was trained on.
        """
    @property
    def mae_watts(self, /) -> float | None:
        """
        The model's mean absolute error in watts at this machine's size, where it was measured.
        """
    @property
    def model(self, /) -> str | None:
        """
        The model's name, for modeled figures.
        """
    @property
    def note(self, /) -> str:
        """
        What else a reader must know; may be empty.
        """
    @property
    def origin(self, /) -> str:
        """
        `measured` or `modeled`.
        """
    @property
    def source(self, /) -> str:
        """
        The energy source, such as `rapl-powercap`, `hwmon` or `modeled`.
        """
    def to_dict(self, /) -> dict[str, Any]:
        """
        The same figures as plain dictionaries, lists, strings and numbers.
        """

@final
class RawColumns:
    """
    Which columns are what, as the core tells it from their names and what was chosen.
    """
    def __new__(cls, /, target: str | None, targets: dict[str, str] | None, features: SupportsGetItem[int, str] | None, time: str | None, machine: str | None) -> RawColumns: ...
    def roles(self, /, names: SupportsGetItem[int, str]) -> tuple[dict[str, str], list[str], str | None, str | None]:
        """
        The columns of power by component, of features, of time and of machines.
        """

@final
class RawModel:
    """
    A checked power model. The public class around it is `kepler.PowerModel`.
    """
    def __str__(self, /) -> str:
        """
        The model card.
        """
    @property
    def components(self, /) -> list[str]:
        """
        The parts of the machine whose power is predicted.
        """
    @property
    def energy_source(self, /) -> str | None:
        """
        The meter whose power it was trained on.
        """
    @property
    def features(self, /) -> list[str]:
        """
        The features' names, in column order.
        """
    @staticmethod
    def from_json(text: bytes) -> RawModel:
        """
        Reads a `kepler-model/1` file from memory.
        """
    def interval(self, /, component: str, watts: "Any") -> "tuple[Any, Any, float] | None":
        """
        The lower end, the upper end and the level of the interval around predictions of one component; None where nothing
        is known of the model's error.
        """
    @staticmethod
    def load(path: str | PathLike[str]) -> RawModel:
        """
        Reads a model from a file or folder, of the own format or of the public database.
        """
    @property
    def name(self, /) -> str:
        """
        The model's name.
        """
    @property
    def output_type(self, /) -> str:
        """
        `AbsPower` for a whole node, `DynPower` for power above idle.
        """
    def predict(self, /, rows: "Any", names: SupportsGetItem[int, str] | None = None, strict: bool = True) -> "tuple[list[tuple[str, Any]], Any]":
        """
        Watts by component and, for each row, whether all features lie in the range of the training data.

        With names, columns are bound by them; `strict` refuses names that the model does not know.
        """
    def to_json(self, /) -> str:
        """
        The model as a `kepler-model/1` file.
        """

@final
class RawOptions:
    """
    How a model is trained and judged.
    """
    def __new__(cls, /, trainer: str, name: str, output_type: str, energy_source: str | None, data: str, seed: int, splits: SupportsGetItem[int, str] | None, folds: int) -> RawOptions: ...

@final
class RawRegistry:
    """
    A pipeline of models. The public class around it is `kepler.ModelRegistry`.
    """
    def __len__(self, /) -> int: ...
    def __new__(cls, /, path: str | PathLike[str]) -> RawRegistry:
        """
        Indexes a folder or zip.
        """
    def entries(self, /) -> list[ModelEntry]:
        """
        All models, by pipeline and path.
        """
    def model(self, /, path: str) -> RawModel:
        """
        The model of an entry by its path.
        """
    def select(self, /, source: str, output_type: str, features: SupportsGetItem[int, str], machine: tuple[str | None, SupportsIndex | None, SupportsIndex | None, SupportsIndex | None, SupportsIndex | None] | None, node_type: int | None, trainer: str, filter: str, loose: bool, policy: str) -> tuple[RawModel, str, float, float] | None:
        """
        The best model for what is at hand; None when none fits.
        """

@final
class Ready:
    """
    An awaitable that is done already.
    """
    def __await__(self, /) -> Ready: ...
    def __iter__(self, /) -> Ready: ...
    def __next__(self, /) -> tuple[()]: ...

@final
class Snapshot:
    """
    All that one sample knows.
    """
    def __repr__(self, /) -> str: ...
    @property
    def complaints(self, /) -> list[str]:
        """
        What could not be had in the last interval, a line each; empty when all was.
        """
    @property
    def containers(self, /) -> list[Container]:
        """
        Containers that live, and those that ended within the retention.
        """
    @property
    def cost(self, /) -> dict[str, float]:
        """
        Wall and CPU seconds that taking the sample cost.
        """
    @property
    def ended(self, /) -> list[Ended]:
        """
        Ended processes without an entry of their own.
        """
    @property
    def idle_share(self, /) -> str:
        """
        How idle energy is handed to workloads: ``"none"``, ``"equal"`` or ``"usage"``.
        """
    @property
    def idle_split(self, /) -> str:
        """
        How energy is split into active and idle: ``"usage-ratio"`` or ``"fitted"``.
        """
    @property
    def interval(self, /) -> float | None:
        """
        Seconds since the sample before; None on the first.
        """
    @property
    def node(self, /) -> Node:
        """
        The machine.
        """
    @property
    def pods(self, /) -> list[Pod]:
        """
        Pods that live, and those that ended within the retention.
        """
    @property
    def processes(self, /) -> list[Process]:
        """
        Processes that live, and the largest of those that ended within the retention.
        """
    @property
    def sequence(self, /) -> int:
        """
        Counts the samples of one monitor from 1.
        """
    @property
    def sources(self, /) -> Sources:
        """
        Which sources are in use.
        """
    @property
    def stats(self, /) -> dict[str, int]:
        """
        Tasks seen, exit records received and lost, and steps refused, since the monitor started.
        """
    @property
    def time(self, /) -> float:
        """
        When it was taken, in seconds since 1970.
        """
    def to_arrow(self, /) -> "Any":
        """
        The processes as an Arrow table, with the columns of ``to_pandas``.
        """
    def to_dict(self, /) -> dict[str, Any]:
        """
        The same figures as plain dictionaries, lists, strings and numbers.
        """
    def to_pandas(self, /) -> "Any":
        """
        The processes as a pandas frame, a row each; figures by domain are columns such as ``joules_package``.
        """
    @property
    def vms(self, /) -> list[VirtualMachine]:
        """
        Virtual machines that live, and those that ended within the retention.
        """

@final
class Sources:
    """
    Which sources are in use, and why not others.
    """
    def __repr__(self, /) -> str: ...
    @property
    def energy(self, /) -> list[str]:
        """
        Names of the energy sources in use.
        """
    @property
    def notes(self, /) -> list[Note]:
        """
        Every part that was tried.
        """
    @property
    def report(self, /) -> str:
        """
        The same as text for people, a line a part.
        """
    def to_dict(self, /) -> dict[str, Any]:
        """
        The same figures as plain dictionaries, lists, strings and numbers.
        """
    @property
    def usage(self, /) -> str:
        """
        Name of the usage source in use: `ebpf` or `procfs`.
        """

@final
class VirtualMachine:
    """
    One virtual machine.
    """
    def __repr__(self, /) -> str: ...
    @property
    def counters(self, /) -> dict[str, int]:
        """
        Events.
        """
    @property
    def cpu_seconds(self, /) -> float:
        """
        CPU time.
        """
    @property
    def hypervisor(self, /) -> str:
        """
        The hypervisor.
        """
    @property
    def id(self, /) -> str:
        """
        Its uuid, else its name.
        """
    @property
    def idle_joules(self, /) -> dict[str, float]:
        """
        Its share of the machine's idle energy, by domain.
        """
    @property
    def joules(self, /) -> dict[str, float]:
        """
        Active energy by domain.
        """
    @property
    def name(self, /) -> str:
        """
        Its name; the id where it has none.
        """
    @property
    def state(self, /) -> str:
        """
        `running` or `terminated`.
        """
    def to_dict(self, /) -> dict[str, Any]:
        """
        The same figures as plain dictionaries, lists, strings and numbers.
        """
    @property
    def watts(self, /) -> dict[str, float]:
        """
        Active power by domain.
        """

@final
class Zone:
    """
    One metered part of the machine. Joules are since the monitor started, watts of the last interval.
    """
    def __repr__(self, /) -> str: ...
    @property
    def active_joules(self, /) -> float:
        """
        What the work cost.
        """
    @property
    def active_watts(self, /) -> float | None:
        """
        Mean power of the work.
        """
    @property
    def ambiguous(self, /) -> int:
        """
        Intervals in which the counter may have wrapped more than once.
        """
    @property
    def die(self, /) -> int | None:
        """
        The die in the socket, where the name tells one.
        """
    @property
    def domain(self, /) -> str:
        """
        What kind of part it is: psys, package, core, uncore, dram, platform or gpu.
        """
    @property
    def failures(self, /) -> int:
        """
        Intervals in which the meter could not be read.
        """
    @property
    def idle_joules(self, /) -> float:
        """
        What it would have cost without work.
        """
    @property
    def idle_watts(self, /) -> float | None:
        """
        Mean power without the work.
        """
    @property
    def index(self, /) -> int | None:
        """
        The socket or device number, where the name tells one.
        """
    @property
    def joules(self, /) -> float:
        """
        All energy.
        """
    @property
    def name(self, /) -> str:
        """
        The name its meter gives it, such as `package-0`.
        """
    @property
    def path(self, /) -> str:
        """
        Where the figure is read.
        """
    @property
    def provenance(self, /) -> Provenance:
        """
        Where the figures come from.
        """
    @property
    def refused(self, /) -> int:
        """
        Steps of the counter that were not believed.
        """
    def to_dict(self, /) -> dict[str, Any]:
        """
        The same figures as plain dictionaries, lists, strings and numbers.
        """
    @property
    def watts(self, /) -> float | None:
        """
        Mean power; None when the zone could not be read in the last interval.
        """

def _raise(kind: str) -> None:
    """
    Raises an error of one kind: lets the tests see the mapping of kinds that no machine shows at will.
    """

def doctor(*, root: str | PathLike[str] | None = None, proc: str | PathLike[str] | None = None, sys: str | PathLike[str] | None = None) -> Diagnosis:
    """
    Tells which sources work on a machine, which do not, why, and the one thing that would change it.

    Parameters
    ----------
    root, proc, sys
        Folders that stand for ``/``, ``/proc`` and ``/sys``, in containers and tests.
    """

def train_arrays(features: SupportsGetItem[int, str], rows: "Any", targets: dict[str, SupportsGetItem[int, SupportsFloat | SupportsIndex]], machines: SupportsGetItem[int, SupportsIndex] | None, times: SupportsGetItem[int, SupportsFloat | SupportsIndex] | None, options: RawOptions, progress: "Any") -> RawModel:
    """
    Trains on rows of features and watts by component.
    """

def train_csv(path: str | PathLike[str], columns: RawColumns, options: RawOptions, progress: "Any") -> RawModel:
    """
    Trains on a CSV file.
    """

def version() -> str:
    """
    The version of the package, the same as that of the Rust crates and the npm package.
    """

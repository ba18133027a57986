// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* The kernel side: reads what the scheduler counts anyway, and adds hooks only for what is asked for. */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "kepler.h"

char LICENSE[] SEC("license") = "GPL";

/* Set before loading. */
const volatile __u32 controller = 0;   /* whose cgroups are told: 0 the unified hierarchy's, 1 cpu, 2 memory, 3 pids */
const volatile __s32 hierarchy_id = 0; /* the number of that hierarchy */
const volatile __u32 events_on = 0;    /* whether `task_events` is in use */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 19);
} exits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 17);
} mkdirs SEC(".maps");

/* What found no room in `exits`, by cgroup. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct kepler_total);
} dropped SEC(".maps");

/* 0: what found no room in `dropped` either; 1: everything that found no room in `exits`. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct kepler_total);
} lost SEC(".maps");

/* Belongs to the task itself: no table that fills up, no pid that is reused. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct kepler_events);
} task_events SEC(".maps");

/* The whole machine's, the idle tasks' included. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kepler_events);
} node_events SEC(".maps");

static __always_inline __u64 cgroup_of(struct task_struct *task)
{
	struct css_set *set = task->cgroups;
	__u32 id;

	switch (controller) {
	case 0:
		return set->dfl_cgrp->kn->id;
	case 1:
		id = bpf_core_enum_value(enum cgroup_subsys_id, cpu_cgrp_id);
		break;
	case 2:
		id = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
		break;
	default:
		id = bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id);
	}

	struct cgroup_subsys_state *css = 0;

	bpf_core_read(&css, sizeof(css), &set->subsys[id]);
	return BPF_CORE_READ(css, cgroup, kn, id);
}

/* The number of a group in the reader's pid namespace. */
static __always_inline __u32 local_tgid(struct task_struct *leader)
{
	struct task_struct *reader = bpf_get_current_task_btf();
	__u32 level = reader->thread_pid->level;

	if (!level)
		return leader->tgid;

	/* Read as a plain number: the verifier of 6.1 lets no variable be added to a pointer that it knows. */
	struct pid *pid = BPF_CORE_READ(leader, thread_pid);
	int nr = 0;

	bpf_core_read(&nr, sizeof(nr),
		      (void *)&pid->numbers[0].nr + level * bpf_core_type_size(struct upid));
	return nr;
}

/* One visit of every task, a record each. Costs nothing while nobody reads. */
SEC("iter/task")
int tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (!task)
		return 0;

	struct task_struct *leader = task->group_leader;
	struct signal_struct *signal = task->signal;
	struct kepler_task record = {};
	__u32 size = __builtin_offsetof(struct kepler_task, cgroup);

	record.dead_cpu_ns = signal->sum_sched_runtime;
	record.dead_switches = signal->nvcsw + signal->nivcsw;
	barrier();
	record.tgid = task->tgid;
	record.local = local_tgid(leader);
	record.start_ns = leader->start_boottime;
	record.cpu_ns = task->se.sum_exec_runtime;
	record.switches = task->nvcsw + task->nivcsw;
	if (task->flags & PF_KTHREAD)
		record.flags |= KEPLER_KERNEL;
	if (task->pid == task->tgid) {
		record.flags |= KEPLER_LEADER;
		record.cgroup = cgroup_of(task);
		record.exec_id = task->self_exec_id;
		bpf_core_read_str(record.comm, sizeof(record.comm), &task->comm);
		size = sizeof(record);
	}
	barrier();
	/* Released while it was read: the dead threads' sum may hold it already, and its leader may be gone. */
	if (!task->sighand)
		return 0;

	struct kepler_events *events = 0;

	if (events_on) {
		events = bpf_task_storage_get(&task_events, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (events)
			record.flags |= KEPLER_EVENTS;
	}
	bpf_seq_write(ctx->meta->seq, &record, size);
	if (events)
		bpf_seq_write(ctx->meta->seq, events, sizeof(*events));
	return 0;
}

static __always_inline void add_events(struct kepler_events *to, const struct kepler_events *from)
{
	__sync_fetch_and_add(&to->net_tx, from->net_tx);
	__sync_fetch_and_add(&to->net_rx, from->net_rx);
	__sync_fetch_and_add(&to->block, from->block);
	__sync_fetch_and_add(&to->page_cache, from->page_cache);
	__sync_fetch_and_add(&to->cycles, from->cycles);
	__sync_fetch_and_add(&to->instructions, from->instructions);
	__sync_fetch_and_add(&to->cache_misses, from->cache_misses);
}

static __always_inline void add_total(struct kepler_total *to, const struct kepler_total *from)
{
	__sync_fetch_and_add(&to->records, from->records);
	__sync_fetch_and_add(&to->cpu_ns, from->cpu_ns);
	__sync_fetch_and_add(&to->switches, from->switches);
	add_events(&to->events, &from->events);
}

/* No room for a record: its time goes to the cgroup's total, and then only the name is lost. */
static __noinline int drop(struct kepler_total *total, __u64 cgroup)
{
	static const struct kepler_total nothing = {};
	__u32 everything = 1, nowhere = 0;
	struct kepler_total *to;

	if (!total)
		return 0;
	to = bpf_map_lookup_elem(&lost, &everything);
	if (to)
		add_total(to, total);
	to = bpf_map_lookup_elem(&dropped, &cgroup);
	if (!to) {
		bpf_map_update_elem(&dropped, &cgroup, &nothing, BPF_NOEXIST);
		to = bpf_map_lookup_elem(&dropped, &cgroup);
	}
	if (!to)
		to = bpf_map_lookup_elem(&lost, &nowhere);
	if (to)
		add_total(to, total);
	return 0;
}

/* A parent may take the leader's time into the group's sum while the leader is still on its way to its last switch; its own
 * count goes on to the end. For a process of one thread, as most are, that is the whole. */
static __always_inline __u64 final_cpu(struct task_struct *leader)
{
	__u64 all = leader->signal->sum_sched_runtime, own = leader->se.sum_exec_runtime;

	return own > all ? own : all;
}

/* Whether there was room. `size` is a constant, as the verifier wants it: all, or what comes before `events`. */
static __always_inline int tell(struct task_struct *task, const struct kepler_events *events, __u64 size)
{
	struct signal_struct *signal = task->signal;
	struct kepler_exit *record = bpf_ringbuf_reserve(&exits, size, 0);

	if (!record)
		return 0;
	record->tgid = task->tgid;
	record->flags = (task->flags & PF_KTHREAD ? KEPLER_KERNEL : 0) | (events ? KEPLER_EVENTS : 0);
	record->start_ns = task->start_boottime;
	record->cpu_ns = final_cpu(task);
	record->switches = signal->nvcsw + signal->nivcsw;
	record->cgroup = cgroup_of(task);
	record->exec_id = task->self_exec_id;
	bpf_core_read_str(record->comm, sizeof(record->comm), &task->comm);
	if (events)
		record->events = *events;
	/* Nobody waits for it, and a wake-up costs more than 20 times the record. */
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 1;
}

/* The one place where a process' totals are final: every thread, its last slice and its teardown are in. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(process_free, struct task_struct *task)
{
	struct kepler_events *events = 0;

	if (task->pid != task->tgid)
		return 0;
	if (events_on)
		events = bpf_task_storage_get(&task_events, task, 0, 0);
	if (events) {
		if (tell(task, events, sizeof(struct kepler_exit)))
			return 0;
	} else if (tell(task, 0, __builtin_offsetof(struct kepler_exit, events))) {
		return 0;
	}

	struct kepler_total total = {
		.records = 1,
		.cpu_ns = final_cpu(task),
		.switches = task->signal->nvcsw + task->signal->nivcsw,
	};

	if (events)
		total.events = *events;
	return drop(&total, cgroup_of(task));
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kepler_mkdir);
} mkdir_room SEC(".maps");

/* So that a container that lives for a second has a name. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_made, struct cgroup *cgroup, const char *path)
{
	__u32 zero = 0;
	struct kepler_mkdir *record = bpf_map_lookup_elem(&mkdir_room, &zero);

	if (!record || cgroup->root->hierarchy_id != hierarchy_id)
		return 0;

	long length = bpf_probe_read_kernel_str(record->path, KEPLER_PATH, path);

	/* A cut path would be a wrong one; without a record it is found by walking the directories. */
	if (length <= 0 || length >= KEPLER_PATH)
		return 0;
	record->cgroup = cgroup->kn->id;
	bpf_ringbuf_output(&mkdirs, record, __builtin_offsetof(struct kepler_mkdir, path) + length,
			   BPF_RB_NO_WAKEUP);
	return 0;
}

/* Hooks below are attached only when a counter that needs them is wanted. */

enum { NET_TX_SOFTIRQ = 2, NET_RX_SOFTIRQ = 3, BLOCK_SOFTIRQ = 4 };

static __always_inline struct kepler_events *node(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&node_events, &zero);
}

/* Storage is never made here: hooks run where memory must not be asked for, and the idle task has none. */
static __always_inline struct kepler_events *current(void)
{
	return bpf_task_storage_get(&task_events, bpf_get_current_task_btf(), 0, 0);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(task_made, struct task_struct *parent, struct task_struct *child)
{
	bpf_task_storage_get(&task_events, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	return 0;
}

/* A thread leaves what it counted to its leader. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(task_exited, struct task_struct *task)
{
	if (task->pid == task->tgid)
		return 0;

	struct kepler_events *own = bpf_task_storage_get(&task_events, task, 0, 0);
	struct kepler_events *heir = bpf_task_storage_get(&task_events, task->group_leader, 0, 0);

	if (!own || !heir)
		return 0;
	add_events(heir, own);
	bpf_task_storage_delete(&task_events, task);
	return 0;
}

SEC("tp_btf/softirq_entry")
int BPF_PROG(softirq, unsigned int vector)
{
	if (vector < NET_TX_SOFTIRQ || vector > BLOCK_SOFTIRQ)
		return 0;

	struct kepler_events *all = node(), *own = current();

	if (vector == NET_TX_SOFTIRQ) {
		if (all)
			all->net_tx++;
		if (own)
			own->net_tx++;
	} else if (vector == NET_RX_SOFTIRQ) {
		if (all)
			all->net_rx++;
		if (own)
			own->net_rx++;
	} else {
		if (all)
			all->block++;
		if (own)
			own->block++;
	}
	return 0;
}

static __always_inline int pages(__u64 count)
{
	struct kepler_events *all = node(), *own = current();

	if (all)
		__sync_fetch_and_add(&all->page_cache, count);
	if (own)
		own->page_cache += count;
	return 0;
}

SEC("tp_btf/mm_filemap_get_pages")
int BPF_PROG(pages_found, void *mapping, unsigned long first, unsigned long last)
{
	return pages(last >= first ? last - first + 1 : 1);
}

SEC("tp_btf/writeback_dirty_folio")
int BPF_PROG(folio_dirtied)
{
	return pages(1);
}

/* In place of mm_filemap_get_pages on older kernels, where function entry may be traced. */
SEC("fentry/folio_mark_accessed")
int BPF_PROG(folio_accessed)
{
	return pages(1);
}

/* An event a CPU; user space opens them and says how many CPUs there are. */
struct pmu_events {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
};
struct pmu_events cycles SEC(".maps");
struct pmu_events instructions SEC(".maps");
struct pmu_events cache_misses SEC(".maps");

/* An event that shares its counter with others counts for a part of the time, and is scaled up by it: by the part of the last
 * such window, because asking for it at each switch costs as much as the counts. */
enum { WINDOW_NS = 100000000, WHOLE = 1024 };

struct pmu_event {
	__u64 count;            /* at the last switch */
	__u64 enabled, running; /* at the last look at the times, ns */
	__u64 scale;            /* in parts of WHOLE; 0 before the first look */
};

struct pmu_cpu {
	__u64 looked; /* when, by the scheduler's clock, ns */
	struct pmu_event cycles, instructions, cache_misses;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pmu_cpu);
} pmu_state SEC(".maps");

/* Growth since the last reading; none at the first one. */
static __always_inline __u64 grown(void *events, struct pmu_event *last, bool look)
{
	struct bpf_perf_event_value now;
	__u64 scale = last->scale;

	if (look) {
		if (bpf_perf_event_read_value(events, BPF_F_CURRENT_CPU, &now, sizeof(now)))
			return 0;

		__u64 running = now.running - last->running;

		if (running) {
			last->scale = (now.enabled - last->enabled) * WHOLE / running;
			last->enabled = now.enabled;
			last->running = now.running;
		}
	} else {
		now.counter = bpf_perf_event_read(events, BPF_F_CURRENT_CPU);
		/* An error's number. */
		if ((__s64)now.counter < 0)
			return 0;
	}

	__u64 count = now.counter - last->count;

	last->count = now.counter;
	/* In two parts, so that nothing overflows. */
	return count / WHOLE * scale + count % WHOLE * scale / WHOLE;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switched, bool preempt, struct task_struct *before)
{
	__u32 zero = 0;
	struct pmu_cpu *state = bpf_map_lookup_elem(&pmu_state, &zero);

	if (!state)
		return 0;

	/* When the scheduler last accounted for the task that leaves: now, except for idle ones. */
	__u64 now = before->se.exec_start;
	bool look = !state->looked || (__s64)(now - state->looked) > WINDOW_NS;

	if (look)
		state->looked = now;

	__u64 cycle = grown(&cycles, &state->cycles, look);
	__u64 instruction = grown(&instructions, &state->instructions, look);
	__u64 miss = grown(&cache_misses, &state->cache_misses, look);
	struct kepler_events *all = node();
	struct kepler_events *own = bpf_task_storage_get(&task_events, before, 0, 0);

	if (all) {
		all->cycles += cycle;
		all->instructions += instruction;
		all->cache_misses += miss;
	}
	if (own) {
		own->cycles += cycle;
		own->instructions += instruction;
		own->cache_misses += miss;
	}
	return 0;
}

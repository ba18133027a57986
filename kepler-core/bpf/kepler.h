/* What the kernel side and the library tell each other. src/usage/ebpf/record.rs mirrors every number here. */
#pragma once

/* Cumulative counts. Order and meaning are those of `Counts` in record.rs. */
struct kepler_events {
	__u64 net_tx;
	__u64 net_rx;
	__u64 block;
	__u64 page_cache;
	__u64 cycles;
	__u64 instructions;
	__u64 cache_misses;
};
_Static_assert(sizeof(struct kepler_events) == 56, "kepler_events");

#define KEPLER_LEADER 1  /* the record goes on with what only a group's leader tells */
#define KEPLER_KERNEL 2  /* a thread of the kernel itself */
#define KEPLER_EVENTS 4  /* a struct kepler_events follows the record, or ends it */

/* One task of an iterator pass. Other threads than the leader end before `cgroup`. */
struct kepler_task {
	__u32 tgid;          /* in the initial pid namespace */
	__u32 local;         /* the same process in the reader's pid namespace */
	__u32 flags;
	__u32 reserved;
	__u64 start_ns;      /* of the group, since boot */
	__u64 cpu_ns;        /* of this thread */
	__u64 dead_cpu_ns;   /* of the group's dead threads, as seen at this visit */
	__u64 switches;      /* of this thread */
	__u64 dead_switches; /* of the group's dead threads */
	__u64 cgroup;
	__u64 exec_id;
	char comm[16];
};
_Static_assert(__builtin_offsetof(struct kepler_task, flags) == 8, "flags");
_Static_assert(__builtin_offsetof(struct kepler_task, start_ns) == 16, "start_ns");
_Static_assert(__builtin_offsetof(struct kepler_task, cpu_ns) == 24, "cpu_ns");
_Static_assert(__builtin_offsetof(struct kepler_task, cgroup) == 56, "cgroup");
_Static_assert(__builtin_offsetof(struct kepler_task, comm) == 72, "comm");
_Static_assert(sizeof(struct kepler_task) == 88, "kepler_task");

/* The final totals of a process, dead threads and teardown included. Ends before `events` where they are not counted. */
struct kepler_exit {
	__u32 tgid;
	__u32 flags;
	__u64 start_ns;
	__u64 cpu_ns;
	__u64 switches;
	__u64 cgroup;
	__u64 exec_id;
	char comm[16];
	struct kepler_events events;
};
_Static_assert(__builtin_offsetof(struct kepler_exit, start_ns) == 8, "start_ns");
_Static_assert(__builtin_offsetof(struct kepler_exit, comm) == 48, "comm");
_Static_assert(__builtin_offsetof(struct kepler_exit, events) == 64, "events");
_Static_assert(sizeof(struct kepler_exit) == 120, "kepler_exit");

/* What processes did whose exit records found no room: of one cgroup, or of the whole machine. */
struct kepler_total {
	__u64 records;
	__u64 cpu_ns;
	__u64 switches;
	struct kepler_events events;
};
_Static_assert(__builtin_offsetof(struct kepler_total, events) == 24, "events");
_Static_assert(sizeof(struct kepler_total) == 80, "kepler_total");

/* A cgroup that was made; `path` ends with the record. */
#define KEPLER_PATH 1024
struct kepler_mkdir {
	__u64 cgroup;
	char path[KEPLER_PATH];
};
_Static_assert(__builtin_offsetof(struct kepler_mkdir, path) == 8, "path");

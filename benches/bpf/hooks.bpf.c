// SPDX-License-Identifier: Apache-2.0
/* What a hook on each context switch costs at least: an empty one, and one that adds to task storage. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

struct task_struct;

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} counts SEC(".maps");

SEC("tp_btf/sched_switch")
int empty(void *ctx)
{
	return 0;
}

SEC("tp_btf/sched_switch")
int storage(unsigned long long *ctx)
{
	__u64 *count = bpf_task_storage_get(&counts, (struct task_struct *)ctx[1], 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (count)
		*count += 1;
	return 0;
}

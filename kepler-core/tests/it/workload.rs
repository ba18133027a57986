//! Whose a process is, on the paths and command lines that runtimes, kubelets and hypervisors make. `A` and `B` stand for
//! container ids, `U` and `V` for pod uids, `U_` for a uid as systemd slices spell it.

use kepler_core::usage::{Process, ProcessKey};
use kepler_core::workload::{Runtime, Workload, classify, classify_cgroup};

const A: &str = "4e1243bd22c66e76c2ba9eddc1f91394e57f9f83e4d1c9a0b7c55a1be10f3a67";
const B: &str = "b0f1e2d3c4b5a69788796a5b4c3d2e1f00112233445566778899aabbccddeeff";
const U: &str = "6c2b6f94-1f0c-4f9e-8a11-0b2d8e7c5a33";
const V: &str = "0d9f7b52-77aa-4c2e-9d1f-3e5a6b7c8d90";
/// A static pod's uid: the hash of its file.
const S: &str = "1f2e3d4c5b6a79880a1b2c3d4e5f6071";

fn fill(pattern: &str) -> String {
    pattern
        .replace("{A}", A)
        .replace("{B}", B)
        .replace("{U}", U)
        .replace("{U_}", &U.replace('-', "_"))
        .replace("{V_}", &V.replace('-', "_"))
        .replace("{S}", S)
}

#[test]
fn containers_of_every_runtime_driver_and_hierarchy() {
    use Runtime::{Containerd, Crio, Docker, Kubernetes, Podman};
    let pod = Some(U);
    for (path, id, runtime, uid) in [
        // Docker: systemd and cgroupfs drivers, a parent of the user's, the ECS agent.
        ("/system.slice/docker-{A}.scope", A, Docker, None),
        ("/docker/{A}", A, Docker, None),
        ("/my/own/parent/{A}", A, Docker, None),
        ("/ecs/0123456789abcdef0123456789abcdef/{A}", A, Docker, None),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{A}.scope",
            A,
            Docker,
            None,
        ),
        ("/system.slice:docker:{A}", A, Docker, None),
        // containerd by itself.
        ("/default/{A}", A, Containerd, None),
        ("/k8s.io/{A}", A, Containerd, None),
        ("/system.slice/nerdctl-{A}.scope", A, Containerd, None),
        // Podman: root, rootless, cgroupfs, crun's payload folder, a Podman pod.
        ("/machine.slice/libpod-{A}.scope", A, Podman, None),
        ("/machine.slice/libpod-{A}.scope/container", A, Podman, None),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{A}.scope/container",
            A,
            Podman,
            None,
        ),
        ("/libpod_parent/libpod-{A}", A, Podman, None),
        (
            "/machine.slice/machine-libpod_pod_{B}.slice/libpod-{A}.scope",
            A,
            Podman,
            None,
        ),
        (
            "/system.slice/web.service/libpod-payload-{A}",
            A,
            Podman,
            None,
        ),
        // Kubernetes, systemd driver, each class of service.
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{U_}.slice/cri-containerd-{A}.scope",
            A,
            Containerd,
            pod,
        ),
        (
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{U_}.slice/crio-{A}.scope",
            A,
            Crio,
            pod,
        ),
        (
            "/kubepods.slice/kubepods-pod{U_}.slice/docker-{A}.scope",
            A,
            Docker,
            pod,
        ),
        (
            "/kubepods.slice/kubepods-pod{U_}.slice/crio-{A}.scope/container",
            A,
            Crio,
            pod,
        ),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{S}.slice/cri-containerd-{A}.scope",
            A,
            Containerd,
            Some(S),
        ),
        // Kubernetes, cgroupfs driver: the path does not tell the runtime, save with CRI-O.
        ("/kubepods/burstable/pod{U}/{A}", A, Kubernetes, pod),
        ("/kubepods/besteffort/pod{U}/{A}", A, Kubernetes, pod),
        ("/kubepods/pod{U}/{A}", A, Kubernetes, pod),
        ("/kubepods/burstable/pod{U}/crio-{A}", A, Crio, pod),
        ("/kubepods/burstable/pod{S}/{A}", A, Kubernetes, Some(S)),
        // A systemd path handed to a cgroupfs driver.
        (
            "/system.slice/containerd.service/kubepods-burstable-pod{U_}.slice:cri-containerd:{A}",
            A,
            Containerd,
            pod,
        ),
        ("/kubepods-besteffort-pod{U_}.slice:crio:{A}", A, Crio, pod),
        // Nested: kind (pods in a Docker container), Docker in Docker, Docker in a pod, pods in a pod.
        (
            "/system.slice/docker-{B}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{U_}.slice/cri-containerd-{A}.scope",
            A,
            Containerd,
            pod,
        ),
        (
            "/docker/{B}/kubelet/kubepods/burstable/pod{U}/{A}",
            A,
            Kubernetes,
            pod,
        ),
        ("/docker/{B}/docker/{A}", A, Docker, None),
        ("/kubepods/burstable/pod{U}/{B}/docker/{A}", A, Docker, pod),
        (
            "/kubepods.slice/kubepods-pod{V_}.slice/cri-containerd-{B}.scope/kubepods.slice/kubepods-pod{U_}.slice/cri-containerd-{A}.scope",
            A,
            Containerd,
            pod,
        ),
        ("/docker/{A}/init.scope", A, Docker, None),
        // Seen from inside of a cgroup namespace.
        ("/../cri-containerd-{A}.scope", A, Containerd, None),
    ] {
        let path = fill(path);
        let container = classify_cgroup(&path).container;
        let container = container.unwrap_or_else(|| panic!("{path}: no container"));
        assert_eq!(
            (
                &*container.id,
                container.runtime,
                container.pod_uid.as_deref()
            ),
            (id, runtime, uid),
            "{path}"
        );
        assert_eq!(container.name, None, "{path}: no path tells a name");
    }
}

#[test]
fn units_and_what_is_no_container() {
    for (path, unit) in [
        ("/", None),
        ("/init.scope", Some("init.scope")),
        ("/system.slice/ssh.service", Some("ssh.service")),
        (
            "/system.slice/containerd.service",
            Some("containerd.service"),
        ),
        (
            "/system.slice/system-getty.slice/getty@tty1.service",
            Some("getty@tty1.service"),
        ),
        (
            "/user.slice/user-1000.slice/session-3.scope",
            Some("session-3.scope"),
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox-4242.scope",
            Some("app-firefox-4242.scope"),
        ),
        ("/kubepods.slice/kubepods-burstable.slice", None),
        ("/kubepods/burstable/pod{U}", None),
        ("/kubepods/burstable/podsomething/x", None),
        // The monitors next to containers are not in them.
        (
            "/machine.slice/libpod-conmon-{A}.scope",
            Some("libpod-conmon-{A}.scope"),
        ),
        (
            "/kubepods.slice/kubepods-pod{U_}.slice/crio-conmon-{A}.scope",
            Some("crio-conmon-{A}.scope"),
        ),
        // Almost ids: 63 digits, a letter that is none.
        (
            "/docker/e1243bd22c66e76c2ba9eddc1f91394e57f9f83e4d1c9a0b7c55a1be10f3a67",
            None,
        ),
        (
            "/docker/ge1243bd22c66e76c2ba9eddc1f91394e57f9f83e4d1c9a0b7c55a1be10f3a67",
            None,
        ),
        (
            "/system.slice/docker-buildx.service",
            Some("docker-buildx.service"),
        ),
    ] {
        let workload = classify_cgroup(&fill(path));
        assert_eq!(workload.container, None, "{path}");
        assert_eq!(
            workload.unit.as_deref(),
            unit.map(fill).as_deref(),
            "{path}"
        );
    }
}

#[test]
fn a_container_that_runs_systemd_has_its_own_units() {
    let workload = classify_cgroup(&fill("/docker/{A}/system.slice/nginx.service"));
    assert_eq!(&*workload.container.unwrap().id, A);
    assert_eq!(workload.unit.as_deref(), Some("nginx.service"));
    let workload = classify_cgroup(&fill("/system.slice/docker.service/docker/{A}"));
    assert_eq!(
        workload.unit, None,
        "the service that holds the container is not in it"
    );
}

fn process(exe: Option<&str>, command: &str, cgroup: Option<&str>) -> Workload {
    classify(&Process {
        key: ProcessKey {
            pid: 4242,
            start_ns: 77,
        },
        comm: "x".into(),
        exe: exe.map(Into::into),
        command: (!command.is_empty()).then(|| command.into()),
        cgroup: cgroup.map(Into::into),
        cgroup_id: 0,
        kernel: false,
    })
}

#[test]
fn virtual_machines_by_their_command_line() {
    let uuid = "7d3c1a52-9b1e-4f6a-8c2d-5e4f3a2b1c0d";
    for (command, hypervisor, id, name) in [
        (
            "/usr/bin/qemu-system-x86_64 -name guest=web 1,debug-threads=on -S -machine pc-q35-8.2,accel=kvm -uuid {uuid} -display none",
            "kvm",
            uuid,
            "web 1",
        ),
        (
            "/usr/libexec/qemu-kvm -name web,process=qemu:web -uuid {uuid}",
            "kvm",
            uuid,
            "web",
        ),
        (
            "/usr/bin/kvm -id 100 -name db,debug-threads=on -no-shutdown -smbios type=1,uuid={uuid} -m 2048",
            "kvm",
            uuid,
            "db",
        ),
        (
            "qemu-system-aarch64 -M virt --name solo disk.img",
            "kvm",
            "solo",
            "solo",
        ),
        (
            "qemu-system-x86_64 -m 512 disk.img",
            "kvm",
            "kvm-4242-77",
            "kvm-4242-77",
        ),
        (
            "/nix/store/x/bin/.qemu-system-x86_64-wrapped -name nix",
            "kvm",
            "nix",
            "nix",
        ),
        (
            "/usr/lib/xen/bin/qemu-system-i386 -xen-domid 5 -name dom5 -uuid {uuid}",
            "xen",
            uuid,
            "dom5",
        ),
        (
            "/usr/lib/virtualbox/VBoxHeadless --comment Web Server 1 --startvm {uuid} --vrde config",
            "virtualbox",
            uuid,
            "Web Server 1",
        ),
        (
            "/usr/lib/virtualbox/VirtualBoxVM --startvm {uuid}",
            "virtualbox",
            uuid,
            uuid,
        ),
        (
            "/usr/bin/firecracker --id fc-17 --api-sock /run/fc.sock",
            "firecracker",
            "fc-17",
            "fc-17",
        ),
        (
            "/firecracker-v1.9.0-x86_64 --id={uuid} --start-time-us 1",
            "firecracker",
            uuid,
            uuid,
        ),
        (
            "cloud-hypervisor --api-socket /run/ch.sock --platform num_pci_segments=1,uuid={uuid}",
            "cloud-hypervisor",
            uuid,
            uuid,
        ),
        (
            "cloud-hypervisor --api-socket /run/ch.sock",
            "cloud-hypervisor",
            "cloud-hypervisor-4242-77",
            "cloud-hypervisor-4242-77",
        ),
        (
            "/usr/lib/vmware/bin/vmware-vmx -s vmx.stdio.keep=TRUE /home/u/vms/Win 11.vmx",
            "vmware",
            "Win 11",
            "Win 11",
        ),
    ] {
        let command = command.replace("{uuid}", uuid);
        let vm = process(None, &command, None).vm;
        let vm = vm.unwrap_or_else(|| panic!("{command}: no virtual machine"));
        assert_eq!(
            (vm.hypervisor, &*vm.id, &*vm.name),
            (hypervisor, id, name),
            "{command}"
        );
    }
}

#[test]
fn what_only_looks_like_a_virtual_machine_is_none() {
    for (exe, command) in [
        (None, ""),
        (None, "/usr/bin/qemu-img convert -O qcow2 a b"),
        (None, "/usr/bin/qemu-ga --name x"),
        (None, "/usr/bin/qemu-x86_64 ./program -name y"),
        (None, "/usr/bin/vim /etc/qemu-system-x86_64"),
        // libvirt asking what the binary can do.
        (
            None,
            "/usr/bin/qemu-system-x86_64 -S -no-user-config -nodefaults -nographic -machine none,accel=kvm:tcg -qmp unix:/x",
        ),
        (None, "/usr/lib/virtualbox/VirtualBox"),
        (None, "/usr/lib/virtualbox/VBoxSVC --auto-shutdown"),
        // The executable tells, not what the process calls itself.
        (Some("/usr/bin/python3"), "qemu-system-x86_64 -name fake"),
    ] {
        assert_eq!(process(exe, command, None).vm, None, "{command}");
    }
}

#[test]
fn two_machines_with_the_same_beginning_are_two() {
    // 0.11 made ids of the first 8 bytes of the command line: all of /usr/bin was one machine.
    let one = process(None, "/usr/bin/qemu-system-x86_64 -name a", None)
        .vm
        .unwrap();
    let two = process(None, "/usr/bin/qemu-system-x86_64 -name b", None)
        .vm
        .unwrap();
    assert_ne!(one.id, two.id);
}

#[test]
fn a_machine_in_a_pod_is_both() {
    let workload = process(
        Some("/usr/libexec/qemu-kvm"),
        "/usr/libexec/qemu-kvm -name guest=default_vmi,debug-threads=on -uuid u-1",
        Some(&fill(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{U_}.slice/crio-{A}.scope",
        )),
    );
    assert_eq!(workload.vm.unwrap().name.as_ref(), "default_vmi");
    assert_eq!(workload.container.unwrap().pod_uid.as_deref(), Some(U));
}

#[test]
fn a_libvirt_scope_names_a_machine_whose_command_line_is_hidden() {
    for path in [
        r"/machine.slice/machine-qemu\x2d7\x2dweb\x2d01.scope/libvirt/emulator",
        "/machine/qemu-7-web-01.libvirt-qemu/vcpu0",
    ] {
        let workload = process(Some("/usr/bin/qemu-system-x86_64"), "", Some(path));
        let vm = workload.vm.unwrap_or_else(|| panic!("{path}"));
        assert_eq!((&*vm.id, &*vm.name), ("web-01", "web-01"));
        // A helper in the same scope is not the machine.
        assert_eq!(
            process(Some("/usr/bin/swtpm"), "swtpm", Some(path)).vm,
            None
        );
    }
}

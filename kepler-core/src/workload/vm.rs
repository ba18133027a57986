//! Which virtual machine a process is, by its executable and command line.

use std::sync::Arc;

use crate::process::Process;

use super::VirtualMachine;

/// The virtual machine that a process runs, if it is a hypervisor. `domain` is the name in the cgroup's machine scope.
pub(super) fn virtual_machine(process: &Process, domain: Option<&str>) -> Option<VirtualMachine> {
    let command = process.command.as_deref().unwrap_or("");
    let program = process.exe.as_deref().or(command.split(' ').next())?;
    let program = program.rsplit('/').next().unwrap_or(program);
    let program = program.trim_start_matches('.'); // Nix hides the program behind a wrapper of its name
    let (hypervisor, id, name) = match program {
        "qemu-kvm" | "kvm" => qemu(command)?,
        _ if program.starts_with("qemu-system-") => qemu(command)?,
        "VBoxHeadless" | "VirtualBoxVM" | "VirtualBox" => virtualbox(command)?,
        "vmware-vmx" => ("vmware", None, vmx_name(command)),
        // The jailer runs a copy that may carry its version; without `--id` they all have the same one.
        _ if program.starts_with("firecracker") => ("firecracker", word(command, "id"), None),
        "cloud-hypervisor" => {
            let platform = word(command, "platform");
            let uuid = platform.and_then(|platform| property(platform, "uuid"));
            ("cloud-hypervisor", uuid, None)
        }
        _ => return None,
    };
    let name = name.or(domain);
    let id: Arc<str> = match id.or(name) {
        Some(id) => id.into(),
        None => {
            let key = process.key;
            format!("{hypervisor}-{}-{}", key.pid, key.start_ns).into()
        }
    };
    Some(VirtualMachine {
        name: name.map_or_else(|| id.clone(), Into::into),
        id,
        hypervisor,
    })
}

type Found<'a> = (&'static str, Option<&'a str>, Option<&'a str>);

/// QEMU: `-uuid U`, or `-smbios type=1,uuid=U` (Proxmox); `-name N`, `-name N,process=...` or `-name guest=N,...`.
fn qemu(command: &str) -> Option<Found<'_>> {
    // libvirt asks each binary what it can do by starting it with no machine.
    let machine = word(command, "machine").or_else(|| word(command, "M"));
    if machine.is_some_and(|machine| machine == "none" || machine.starts_with("none,")) {
        return None;
    }
    let hypervisor = match word(command, "xen-domid") {
        Some(_) => "xen",
        None => "kvm",
    };
    let smbios = || property(value(command, "smbios")?, "uuid");
    let name = value(command, "name").map(|name| match property(name, "guest") {
        Some(guest) => guest,
        None => name.split([',', ' ']).next().unwrap_or(name),
    });
    Some((hypervisor, word(command, "uuid").or_else(smbios), name))
}

/// VirtualBox: `--comment NAME --startvm UUID`. The program without them is the manager's window.
fn virtualbox(command: &str) -> Option<Found<'_>> {
    let id = word(command, "startvm")?;
    Some(("virtualbox", Some(id), value(command, "comment")))
}

/// VMware: the command ends in the path of the machine's `.vmx` file.
fn vmx_name(command: &str) -> Option<&str> {
    let name = command.rsplit('/').next()?.strip_suffix(".vmx")?;
    (!name.is_empty()).then_some(name)
}

/// The first word after the option `name`, written with one or two dashes and a space or `=`.
fn word<'a>(command: &'a str, name: &str) -> Option<&'a str> {
    value(command, name)?.split(' ').next()
}

/// All that follows the option `name` up to the next option: the arguments' own bounds were lost when they were joined.
fn value<'a>(command: &'a str, name: &str) -> Option<&'a str> {
    let rest = command.match_indices(" -").find_map(|(at, dash)| {
        let option = &command[at + dash.len()..];
        let option = option.strip_prefix('-').unwrap_or(option);
        option.strip_prefix(name)?.strip_prefix([' ', '='])
    })?;
    let value = rest.split(" -").next().unwrap_or(rest).trim();
    (!value.is_empty() && !value.starts_with('-')).then_some(value)
}

/// The value of `key` in `a,key=value,b=c`.
fn property<'a>(list: &'a str, key: &str) -> Option<&'a str> {
    (list.split(','))
        .find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ProcessKey;
    use proptest::prelude::*;

    #[test]
    fn an_option_is_a_whole_word() {
        assert_eq!(value("x --names a -name b", "name"), Some("b"));
        assert_eq!(value("x -name", "name"), None);
        assert_eq!(value("x -name -uuid u", "name"), None);
        assert_eq!(value("x --id=7", "id"), Some("7"));
        assert_eq!(property("guest=,a=b", "guest"), None);
        assert_eq!(vmx_name("vmware-vmx -s /vm/.vmx"), None);
    }

    proptest! {
        #[test]
        fn no_command_line_panics_and_ids_are_never_empty(
            program in "(qemu-system-x86_64|kvm|VBoxHeadless|vmware-vmx|firecracker|cloud-hypervisor)",
            rest in r"( |-|--|=|,|name|guest|uuid|startvm|comment|platform|smbios|id|é|/|\.vmx){0,30}",
        ) {
            let process = Process {
                key: ProcessKey { pid: 1, start_ns: 2 },
                comm: "x".into(),
                exe: None,
                command: Some(format!("{program} {rest}").into()),
                cgroup: None,
                cgroup_id: 0,
                kernel: false,
            };
            if let Some(vm) = virtual_machine(&process, None) {
                prop_assert!(!vm.id.is_empty() && !vm.name.is_empty(), "{vm:?}");
            }
        }
    }
}

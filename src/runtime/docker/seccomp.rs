//! Which system calls a container may make. The list and its reasons are in
//! `seccomp.json`; what it keeps out, and why, is in `docs/security.md`. The
//! file itself goes to Docker, so that it holds whatever profile the engine was
//! set up with, and nothing has to be installed on its host.

/// For the `SecurityOpt` of a container: Docker takes the profile's text, not a
/// path, from its API.
pub(super) const SECURITY_OPTION: &str = concat!("seccomp=", include_str!("seccomp.json"));

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    /// What no Python server needs and much was broken out by. Most are not in
    /// the list at all; the test keeps it so.
    const NEVER: &[&str] = &[
        // Kernel code of its own, tracing, keys.
        "bpf perf_event_open init_module finit_module delete_module kexec_load kexec_file_load",
        "add_key request_key keyctl syslog lookup_dcookie",
        // Namespaces and file systems.
        "unshare setns mount umount umount2 mount_setattr move_mount fsopen fsconfig fsmount",
        "fspick open_tree pivot_root chroot name_to_handle_at open_by_handle_at fanotify_init",
        "fanotify_mark quotactl quotactl_fd swapon swapoff acct sync syncfs",
        // Other processes' memory, and memory with a trap in it.
        "ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp userfaultfd",
        "vmsplice tee memfd_secret remap_file_pages",
        // The machine.
        "reboot sethostname setdomainname settimeofday clock_settime adjtimex clock_adjtime",
        "iopl ioperm modify_ldt personality vhangup",
        // Queues, which are counted for a user and not for a container.
        "mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify",
        // A 32-bit program's way to sockets, around the filter of `socket`.
        "socketcall",
    ];

    fn entries() -> Vec<Value> {
        let text = SECURITY_OPTION.strip_prefix("seccomp=").unwrap();
        let profile: Value = serde_json::from_str(text).unwrap();
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
        profile["syscalls"].as_array().unwrap().clone()
    }

    fn names(entry: &Value) -> impl Iterator<Item = &str> {
        entry["names"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
    }

    #[test]
    fn only_the_machine_s_own_kind_of_program_runs() {
        let text = SECURITY_OPTION.strip_prefix("seccomp=").unwrap();
        let profile: Value = serde_json::from_str(text).unwrap();
        for architecture in profile["archMap"].as_array().unwrap() {
            let others = architecture["subArchitectures"].as_array().unwrap();
            assert!(others.is_empty(), "{architecture}");
        }
    }

    #[test]
    fn every_entry_has_a_reason_and_no_call_two() {
        let mut seen = HashSet::new();
        for entry in entries() {
            let reason = entry["comment"].as_str().unwrap_or_default();
            assert!(reason.ends_with('.'), "{entry}");
            let filtered = entry.get("args").is_some();
            for name in names(&entry) {
                // A second entry without arguments would let all of them in.
                assert!(filtered || seen.insert(name.to_owned()), "{name} twice");
            }
        }
        for name in ["clone", "socket", "socketpair", "mknod", "mknodat"] {
            assert!(
                !seen.contains(name),
                "{name} is let in whatever its arguments"
            );
        }
    }

    #[test]
    fn what_no_server_needs_is_not_let_in() {
        let never: HashSet<&str> = NEVER.iter().flat_map(|line| line.split(' ')).collect();
        for entry in entries() {
            let allowed = entry["action"] == "SCMP_ACT_ALLOW";
            for name in names(&entry) {
                assert!(!never.contains(name), "{name}");
                assert!(!allowed || !name.starts_with("io_"), "{name}");
                assert!(!allowed || name != "clone3");
            }
        }
    }

    #[test]
    fn sockets_are_let_in_by_the_families_servers_need_alone() {
        const UNIX_INET_NETLINK_INET6: [u64; 4] = [1, 2, 16, 10];
        let all = entries();
        let sockets: Vec<&Value> = all
            .iter()
            .filter(|entry| names(entry).any(|name| name == "socket"))
            .collect();
        assert!(!sockets.is_empty());
        for entry in sockets {
            let family = &entry["args"][0];
            assert_eq!(
                (&family["index"], &family["op"]),
                (&0.into(), &"SCMP_CMP_EQ".into())
            );
            assert!(UNIX_INET_NETLINK_INET6.contains(&family["value"].as_u64().unwrap()));
        }
    }
}
